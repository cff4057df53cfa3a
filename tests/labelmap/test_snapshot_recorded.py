"""Recorded logs of a real DVID, followed by a snapshot's tables: each recorded state comes out."""

from __future__ import annotations

from collections import defaultdict
from random import Random
from typing import Any, cast

import orjson
import pytest

from dvidsync_dagster.datatypes.labelmap.claims import claims_of
from dvidsync_dagster.datatypes.labelmap.counter_rule import CounterState
from dvidsync_dagster.datatypes.labelmap.decoding import decode
from dvidsync_dagster.datatypes.labelmap.events import BodyEvent
from dvidsync_dagster.datatypes.labelmap.snapshot.changes import changes
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.events.message import Message
from dvidsync_dagster.events.origin import Origin
from dvidsync_dagster.plan.order import order
from tests.labelmap.arrow_tables import INSTANCE, ArrowTables
from tests.recordings import Recording, crowd, every_op, huge_cleave, proofreading


class RecordedBlobs:
    """What is asked of a recording's source: its blobs, and whether the halves of splits have voxels."""

    name = INSTANCE

    def __init__(self, recording: Recording) -> None:
        self._blobs = recording.blobs

    def blob(self, _version: str, reference: str) -> bytes:
        return self._blobs[reference]

    def sizes(self, _version: str, labels: list[int], *, of_supervoxels: bool) -> list[int]:
        assert of_supervoxels
        return [1] * len(labels)

    def mapping(self, _version: str, supervoxels: list[int]) -> list[int]:
        assert not supervoxels
        return []


def messages(recording: Recording, part: str) -> list[Message]:
    return [
        Message.parse(
            Origin(int(each["key"]), each["topic"], each["partition"], each["offset"]),
            each["value"].encode(),
        )
        for each in recording.kafka
        if part in each["topic"]
    ]


def by_version(recording: Recording) -> dict[str, list[BodyEvent]]:
    """What was done, in an order in which it can be applied."""
    done: dict[Any, BodyEvent] = {}
    for message in messages(recording, recording.data[INSTANCE]):
        read = decode(message, INSTANCE)
        if read is not None and read.done and isinstance(read.event, BodyEvent):
            done.setdefault(read.event.identity, read.event)
    events = sorted(done.values(), key=lambda event: event.origin)
    ordering = order(claims_of(list(events), lambda _: CounterState(next_label=1, was_set=False)))
    result: dict[str, list[BodyEvent]] = defaultdict(list)
    for index in ordering.sequence:
        result[events[index].version].append(events[index])
    return result


def parents(recording: Recording) -> dict[str, str]:
    """By version."""
    found = {}
    for message in messages(recording, "repo-ops"):
        child = message.fields.get("Child") or (
            message.fields.get("Tag") if message.action == "tag" else None
        )
        if child:
            found[child] = message.fields.get("Parent") or message.fields["UUID"]
    return found


def state(recording_state: dict[str, Any], version: str) -> tuple[dict[int, int], dict[int, int]]:
    """Bodies by supervoxel, voxels by body."""
    found = recording_state["data"][f"{version}/{INSTANCE}"]
    mapping = {int(supervoxel): body for supervoxel, body in found["mapping"].items() if body}
    return mapping, {int(body): voxels for body, voxels in found["labels"].items()}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("recording", "versions"),
    [(every_op, 5), (proofreading, 3), (crowd, 1)],
    ids=lambda each: getattr(each, "name", ""),
)
def test_each_recorded_state_comes_out(recording: Recording, versions: int, seed: int) -> None:
    random = Random(seed)
    source = cast(Labelmap, RecordedBlobs(recording))
    done, ancestors = by_version(recording), parents(recording)
    before = state(recording.before, recording.root)
    compared = 0
    for place in recording.after["data"]:
        version, _, instance = place.partition("/")
        if instance != INSTANCE:
            continue
        lineage = [version]
        while lineage[-1] in ancestors:
            lineage.append(ancestors[lineage[-1]])
        assert lineage[-1] == recording.root
        events = [event for each in reversed(lineage) for event in done.get(each, ())]
        tables = ArrowTables.of(*before)
        while events:
            chunk = random.choice([1, 7, 100, len(events)])
            tables.commit(changes(events[:chunk], tables.tables, source, tables))
            events = events[chunk:]
        mapping, voxels = state(recording.after, version)
        assert tables.mapping == mapping
        assert tables.voxels == voxels
        assert tables.replayed_edits(before[0]) == mapping
        tables.assert_counted()
        compared += 1
    assert compared == versions


def test_a_cleave_of_79_000_supervoxels_is_read_from_its_blob() -> None:
    setup = huge_cleave.setup["repo"]
    first, each = 10**12, setup["cube"] ** 3
    supervoxels = range(first, first + (setup["size"] // setup["cube"]) ** 3)
    tables = ArrowTables.of(
        dict(zip(supervoxels, supervoxels, strict=True)), dict.fromkeys(supervoxels, each)
    )
    (events,) = by_version(huge_cleave).values()
    source = cast(Labelmap, RecordedBlobs(huge_cleave))
    tables.commit(changes(events, tables.tables, source, tables))
    cleave = next(event for event in reversed(events) if event.action == "cleave")
    new = cleave.survivors[1]
    (message,) = [
        orjson.loads(record["value"])
        for record in huge_cleave.kafka
        if '"cleave-complete"' in record["value"]
    ]
    row = tables.bodies[new]
    assert row["supervoxels"] == 79_000
    assert row["voxels"] == message["CleavedSize"] == 79_000 * each
    assert row["last_user"] == message["User"]
    assert row["last_mutation"] == message["MutationID"]
    assert tables.bodies[cleave.survivors[0]]["voxels"] == message["RemainSize"]
    tables.assert_counted()
