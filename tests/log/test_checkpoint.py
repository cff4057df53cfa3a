"""The checkpoint: its JSON form, and what one calls applied that another does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvidsync_dagster.errors import CheckpointError
from dvidsync_dagster.log.checkpoint import Behind, Checkpoint, PartitionPosition, newly_applied
from dvidsync_dagster.log.checkpoint_json import checkpoint_from_json, checkpoint_json, from_offsets
from dvidsync_dagster.log.heard_ids import Gap, HeardIds
from tests.log.positions import applied, partition_positions

COUNTS = st.integers(0, 2**63)
POSITIONS = st.dictionaries(
    st.sampled_from(["a", "b"]),
    st.dictionaries(st.integers(0, 2), partition_positions(), max_size=2),
    max_size=2,
)
CHECKPOINTS = st.builds(
    Checkpoint,
    epoch=COUNTS,
    positions=POSITIONS,
    key_ns=COUNTS,
    mutation_id=COUNTS,
    clean=st.booleans(),
    era=COUNTS,
    boot=COUNTS,
    contact=COUNTS,
    topics=st.dictionaries(st.sampled_from(["a", "b"]), st.text(max_size=5), max_size=2),
    ids=st.builds(
        HeardIds,
        following=COUNTS,
        key_ns=COUNTS,
        gaps=st.lists(st.builds(Gap, st.just(3), st.integers(3, 9), COUNTS, COUNTS)).map(tuple),
        waiting=st.lists(COUNTS).map(tuple),
    ),
    behind=st.lists(
        st.builds(
            Behind,
            instance=st.text(max_size=5),
            version=st.just("a" * 32),
            item=st.text(max_size=5),
            era=COUNTS,
            mutation_id=COUNTS,
            where=st.text(max_size=5),
        ),
        max_size=2,
    ).map(tuple),
    behind_in=st.text(max_size=5),
    alone=COUNTS,
    doubt=COUNTS,
)
WHOLE = Checkpoint(
    epoch=3,
    positions={"a": {0: PartitionPosition(5, ((7, 9), (12, 13))), 2: PartitionPosition(1)}},
    key_ns=1_795_411_076_000_000_001,
    mutation_id=1_000_000_007,
    clean=True,
    era=1_795_411_000_000_000_000,
    boot=1_795_410_000_000_000_000,
    contact=1_000_000_000,
    topics={"a": "AAAAAAAAAAAAAAAAAAAAAQ"},
    ids=HeardIds(8, 9, (Gap(2, 3, 1_795_411_075_000_000_000, 1_795_411_076_000_000_000),), (7,)),
)
WRITTEN_BY_0_1_0 = """
{"format": 1, "epoch": 3, "key": 1795411076000000001, "mutation_id": 1000000007, "clean": true,
 "era": 1795411000000000000, "boot": 1795410000000000000, "contact": 1000000000,
 "topics": {"a": "AAAAAAAAAAAAAAAAAAAAAQ"},
 "ids": {"following": 8, "key": 9, "gaps": [[2, 3, 1795411075000000000, 1795411076000000000]],
  "waiting": [7]},
 "positions": {"a": {"0": {"next": 5, "beyond": [[7, 9], [12, 13]]}, "2": {"next": 1, "beyond": []}}}}
"""
LATER = {"topics", "ids"}
"""Fields that the first checkpoints did not have."""
GOOD = checkpoint_json(Checkpoint(3, {"a": {0: PartitionPosition(5, ((7, 9), (12, 13)))}}, 10, 11, True))


@given(CHECKPOINTS)
def test_json_form_holds_all(checkpoint: Checkpoint) -> None:
    assert checkpoint_from_json(json.loads(json.dumps(checkpoint_json(checkpoint)))) == checkpoint


def test_what_an_older_version_stored_is_read_and_stored_the_same() -> None:
    stored = json.loads(WRITTEN_BY_0_1_0)
    assert checkpoint_from_json(stored) == WHOLE
    assert checkpoint_json(WHOLE) == stored


def _with(path: list[str], value: Any) -> dict[str, Any]:
    damaged = json.loads(json.dumps(GOOD))
    inner = damaged
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return dict(damaged)


@pytest.mark.parametrize(
    "damaged",
    [
        None,
        [],
        {},
        *(
            {name: value for name, value in GOOD.items() if name != lost}
            for lost in GOOD
            if lost not in LATER
        ),
        _with(["format"], "1"),
        _with(["epoch"], True),
        _with(["epoch"], -1),
        _with(["key"], 1.5),
        _with(["clean"], 1),
        _with(["topics"], []),
        _with(["topics"], {"a": 1}),
        _with(["positions"], [1]),
        _with(["positions", "a"], {"x": {"next": 1, "beyond": []}}),
        _with(["positions", "a", "0"], 5),
        _with(["positions", "a", "0", "next"], "5"),
        _with(["positions", "a", "0", "beyond"], None),
        _with(["positions", "a", "0", "beyond"], [[5, 9]]),
        _with(["positions", "a", "0", "beyond"], [[9, 7]]),
        _with(["positions", "a", "0", "beyond"], [[7, 9], [9, 10]]),
        _with(["positions", "a", "0", "beyond"], [[7, 9, 10]]),
        _with(["positions", "a", "0", "beyond"], [[7, None]]),
        _with(["positions", "a", "0"], {"next": 5}),
        _with(["key"], 2**64),
        _with(["ids"], None),
        _with(["ids"], {"following": 1, "key": 1}),
        _with(["ids", "key"], "1"),
        _with(["ids", "gaps"], [[1, 2, 3]]),
        _with(["ids", "gaps"], [[2, 1, 3, 3]]),
        _with(["ids", "waiting"], [True]),
        {**{name: value for name, value in GOOD.items() if name != "key"}, "key_ns": 10},
    ],
)
def test_damage_is_refused(damaged: object) -> None:
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint_from_json(damaged)


@pytest.mark.parametrize(
    ("damaged", "where"),
    [
        (None, "checkpoint is damaged: None."),
        (_with(["epoch"], "3"), "checkpoint.epoch is damaged: '3'."),
        (_with(["key"], 1.5), "checkpoint.key is damaged: 1.5."),
        (_with(["topics"], {"a": 1}), "checkpoint.topics['a'] is damaged: 1."),
        (_with(["ids", "following"], -1), "checkpoint.ids.following is damaged: -1."),
        (_with(["positions", "a"], {"x": {"next": 1, "beyond": []}}), "checkpoint.positions['a']['x'] is"),
        (_with(["positions", "next"], {"0": 5}), "checkpoint.positions['next']['0'] is damaged: 5."),
        (_with(["positions", "a", "0", "beyond"], [[9, 7]]), "['a']['0'].beyond is damaged: [[9, 7]]."),
        (
            _with(["positions", "a", "0", "beyond"], [[7, 8, 9]]),
            "['a']['0'].beyond[0] is damaged: [7, 8, 9].",
        ),
        ({"format": 1}, "checkpoint.epoch is damaged: it is missing."),
        (_with(["topics"], ["x"] * 100), "'x',…. Give the destination a start, or restore an earlier"),
    ],
)
def test_damage_is_named_with_its_place(damaged: object, where: str) -> None:
    with pytest.raises(CheckpointError) as found:
        checkpoint_from_json(damaged)
    assert where in str(found.value)


def test_topics_may_be_missing() -> None:
    without = {name: value for name, value in GOOD.items() if name != "topics"}
    assert checkpoint_from_json(without) == checkpoint_from_json(GOOD)


def test_newer_format_is_refused_by_name() -> None:
    with pytest.raises(CheckpointError, match=r"format 2, this version.* up to 1. Update dvidsync"):
        checkpoint_from_json({"format": 2, "positions": "of another form"})


def test_old_form_has_one_partition() -> None:
    assert from_offsets({"a": 7, "b": 0}) == {"a": {0: PartitionPosition(7)}, "b": {0: PartitionPosition(0)}}


@pytest.mark.parametrize("offsets", [None, {"a": -1}, {"a": "7"}, {"a": True}, {1: 1}])
def test_old_form_is_checked(offsets: object) -> None:
    with pytest.raises(CheckpointError, match="damaged"):
        from_offsets(offsets)


@given(POSITIONS, POSITIONS)
def test_newly_applied_are_the_offsets_that_only_the_later_one_holds(
    one: dict[str, dict[int, PartitionPosition]], other: dict[str, dict[int, PartitionPosition]]
) -> None:
    def offsets(positions: dict[str, dict[int, PartitionPosition]]) -> set[tuple[str, int, int]]:
        return {(t, p, o) for t, ps in positions.items() for p, at in ps.items() for o in applied(at, 100)}

    fresh = newly_applied(one, other)
    found = {
        (*place, o) for place, ranges in fresh.items() for first, last in ranges for o in range(first, last)
    }
    assert found == offsets(other) - offsets(one)
