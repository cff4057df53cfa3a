"""Real histories on a model of a copy: as many requests as DVID.md measured at best, the counter exact."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from dvidsync_dagster.datatypes.labelmap.server.seen import Contact
from dvidsync_dagster.datatypes.server_side import History as KeptHistory
from dvidsync_dagster.dvid.labelmap import LastMod
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.log.record import Record
from tests.labelmap.follower import Follower
from tests.labelmap.model import ModelLabelmap, Node
from tests.recordings import Recording, crowd, proofreading


@dataclass
class History:
    """A recording's labelmap and repo topics, and what it ended as."""

    recording: Recording

    def __post_init__(self) -> None:
        data_uuid = self.recording.data["segmentation"]
        self.topics: dict[str, Instance | None] = {}
        for record in self.recording.kafka:
            if data_uuid in record["topic"]:
                self.topics[record["topic"]] = Instance("segmentation", "labelmap", data_uuid)
            elif record["topic"].endswith("repo-ops"):
                self.topics[record["topic"]] = None
        self.log = sorted(
            (
                Record(
                    int(each["key"]),
                    each["topic"],
                    each["partition"],
                    each["offset"],
                    each["value"].encode(),
                )
                for each in self.recording.kafka
                if each["topic"] in self.topics and "newinstance" not in each["value"]
            ),
            key=lambda record: record.origin,
        )

    def before(self) -> ModelLabelmap:
        state = self.recording.before["data"][f"{self.recording.root}/segmentation"]
        mapping = {int(supervoxel): body for supervoxel, body in state["mapping"].items()}
        bodies: dict[int, set[int]] = {}
        for supervoxel, body in mapping.items():
            bodies.setdefault(body, set()).add(supervoxel)
        node = Node(bodies, mapping, {label: LastMod(1, "", "", "") for label in bodies})
        return ModelLabelmap(
            versions={self.recording.root: node},
            max_repo_label=state["nextlabel"] - 1,
            with_voxels=False,
            blobs=dict(self.recording.blobs.items()),
        )

    @property
    def next_label(self) -> int:
        states: dict[str, Any] = self.recording.after["data"]
        labels: list[int] = [
            state["nextlabel"] for place, state in states.items() if place.endswith("/segmentation")
        ]
        return max(labels)

    def follower(self, copy: ModelLabelmap, kept: KeptHistory = "by_user") -> Follower:
        source = ModelLabelmap(max_repo_label=self.next_label - 1, blobs=copy.blobs)
        return Follower(
            source,
            copy,
            Contact(10**9),
            Random(1),
            history=kept,
            topics=self.topics,
            root=self.recording.root,
        )


@pytest.mark.parametrize(
    ("recording", "kept", "requests"),
    [
        (crowd, "condensed", 1249),
        (crowd, "by_user", 1249),
        (crowd, "exact", 1384),
        (proofreading, "condensed", 581),
        (proofreading, "by_user", 777),
        (proofreading, "exact", 877),
    ],
    ids=lambda value: value.name if isinstance(value, Recording) else str(value),
)
def test_no_request_too_many_and_the_counter_exact(
    recording: Recording, kept: KeptHistory, requests: int
) -> None:
    history = History(recording)
    copy = history.before()
    run = history.follower(copy, kept)
    run.follow([history.log], looking=False, quiet=False)
    assert run.refusals == []
    assert copy.following == history.next_label
    assert len(copy.requests) == requests
    for place, after in recording.after["data"].items():
        version, _, instance = place.partition("/")
        if instance == "segmentation":
            mapping = {str(sv): body for sv, body in copy.versions[version].mapping.items() if body}
            assert mapping == {sv: body for sv, body in after["mapping"].items() if body}


@pytest.mark.parametrize("recording", [crowd, proofreading], ids=lambda recording: recording.name)
@pytest.mark.parametrize("size", [37, 100, 1000])
def test_a_second_look_finds_all_of_it_in_chunks_of_any_size(recording: Recording, size: int) -> None:
    history = History(recording)
    copy = history.before()
    history.follower(copy).follow([history.log], looking=False)
    copy.requests.clear()
    chunks = [history.log[start : start + size] for start in range(0, len(history.log), size)]
    again = history.follower(copy)
    again.follow(chunks, looking=True)
    assert copy.requests == []
    assert again.refusals == []
