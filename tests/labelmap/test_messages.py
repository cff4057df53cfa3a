"""Messages of a real DVID are read; damaged ones are named; tags and eras."""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvidsync_dagster.datatypes.labelmap.decoding import decode
from dvidsync_dagster.datatypes.labelmap.events import BodyEvent, Cleave
from dvidsync_dagster.datatypes.labelmap.server.tags import NANOSECONDS, rank_of, tagged
from dvidsync_dagster.datatypes.repo import decoding as repo_events
from dvidsync_dagster.errors import UndecodableRecord
from dvidsync_dagster.events.message import Message
from dvidsync_dagster.events.origin import Origin
from dvidsync_dagster.log.eras import EraClock
from tests.recordings import Recording, crowd, every_op, huge_cleave, proofreading

ORIGIN = Origin(1, "topic", 2, 3)


def messages(recording: Recording, part: str) -> list[Message]:
    return [
        Message.parse(Origin(int(record["key"]), record["topic"], 0, 0), record["value"].encode())
        for record in recording.kafka
        if part in record["topic"]
    ]


@pytest.mark.parametrize(
    "recording", [every_op, proofreading, crowd, huge_cleave], ids=lambda recording: recording.name
)
def test_everything_that_was_recorded_is_understood(recording: Recording) -> None:
    read = [decode(each, "segmentation") for each in messages(recording, recording.data["segmentation"])]
    assert read
    assert None not in read
    done = Counter(
        each.event.mutation_id
        for each in read
        if each is not None and each.done and isinstance(each.event, BodyEvent)
    )
    assert set(done.values()) == {1}
    repo = messages(recording, "repo-ops")
    assert None not in [repo_events.decode(each) for each in repo]


def test_a_huge_cleave_points_to_its_blob() -> None:
    read = [decode(each, "segmentation") for each in messages(huge_cleave, huge_cleave.data["segmentation"])]
    (cleave,) = [
        each.event for each in read if each is not None and each.done and isinstance(each.event, Cleave)
    ]
    assert cleave.supervoxels is None
    assert len(orjson.loads(huge_cleave.blobs[cleave.data_ref])["CleavedSupervoxels"]) == 79_000


WHOLE: dict[str, dict[str, Any]] = {
    "merge-complete": {"Target": 1, "Labels": [2]},
    "cleave-complete": {"OrigLabel": 1, "CleavedLabel": 2, "CleavedSupervoxels": [3]},
    "renumber-complete": {"OrigLabel": 1, "NewLabel": 2},
    "split-supervoxel-complete": {
        "Supervoxel": 1,
        "Body": 1,
        "SplitSupervoxel": 2,
        "RemainSupervoxel": 3,
        "Split": "blob",
    },
    "split-complete": {
        "Target": 1,
        "NewLabel": 2,
        "Split": "blob",
        "SVSplits": {"1": {"Split": 3, "Remain": 4}},
    },
    "post-nextlabel": {"Start Label": 1, "End Label": 2},
    "post-maxlabel": {"MaxLabel": 1},
    "setnextlabel": {"Next Label": 1},
}


@pytest.mark.parametrize(
    ("action", "field"), [(action, field) for action, fields in WHOLE.items() for field in fields]
)
@pytest.mark.parametrize("damage", [None, "x", -1, 2**64, 1.5, True, {"a": 1}, [0], [True], ["x"]])
def test_a_damaged_field_is_named_with_its_record(action: str, field: str, damage: object) -> None:
    whole = {"Action": action, "UUID": "v", "MutationID": 7, **WHOLE[action]}
    assert decode(Message(ORIGIN, whole), "segmentation") is not None
    if (field, damage) in (("Split", "x"), ("CleavedSupervoxels", None)):
        pytest.skip("any name will do, and no list is an empty one")
    with pytest.raises(UndecodableRecord) as caught:
        decode(Message(ORIGIN, {**whole, field: damage}), "segmentation")
    assert "topic partition 2 offset 3" in str(caught.value)


@pytest.mark.parametrize("value", [b"", b"[]", b"{", b"\xff", b"null"])
def test_what_is_no_message(value: bytes) -> None:
    with pytest.raises(UndecodableRecord):
        Message.parse(ORIGIN, value)


@given(st.text(), st.integers(0, 10**9), st.integers(0, 2**64 - 1))
def test_a_tag_tells_era_and_mutation(app: str, era_seconds: int, mutation_id: int) -> None:
    rank = (era_seconds * NANOSECONDS, mutation_id)
    assert rank_of(tagged(app, rank)) == rank
    assert tagged(app, rank).startswith(f"{app}+dvidsync@")


def test_a_source_that_counts_its_ids_again_begins_an_era() -> None:
    clock = EraClock()
    day = 86_400 * NANOSECONDS
    assert clock.era_of(day, "… m=+10.0", 100) == 0
    assert clock.era_of(2 * day, "… m=+10.0", 101) == 0
    assert clock.era_of(3 * day, "… m=+10.0", 50) == 3 * day
    assert clock.era_of(3 * day + NANOSECONDS, "… m=+11.0", 51) == 3 * day
    # A straggler of the server before.
    assert clock.era_of(2 * day + NANOSECONDS, "… m=+11.0", 102) == 0
