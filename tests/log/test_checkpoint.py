"""The checkpoint: its JSON form, and what one calls applied that another does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvidsync_dagster.errors import CheckpointError
from dvidsync_dagster.log.checkpoint import (
    Checkpoint,
    PartitionPosition,
    checkpoint_from_json,
    checkpoint_json,
    from_offsets,
    newly_applied,
)
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
    topics=st.dictionaries(st.sampled_from(["a", "b"]), st.text(max_size=5), max_size=2),
)
GOOD = checkpoint_json(Checkpoint(3, {"a": {0: PartitionPosition(5, ((7, 9), (12, 13)))}}, 10, 11, True))


@given(CHECKPOINTS)
def test_json_form_holds_all(checkpoint: Checkpoint) -> None:
    assert checkpoint_from_json(json.loads(json.dumps(checkpoint_json(checkpoint)))) == checkpoint


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
        {name: value for name, value in GOOD.items() if name != "epoch"},
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
    ],
)
def test_damage_is_refused(damaged: object) -> None:
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint_from_json(damaged)


def test_topics_may_be_missing() -> None:
    without = {name: value for name, value in GOOD.items() if name != "topics"}
    assert checkpoint_from_json(without) == checkpoint_from_json(GOOD)


def test_newer_format_is_refused_by_name() -> None:
    with pytest.raises(CheckpointError, match=r"format 2.*Update dvidsync"):
        checkpoint_from_json(_with(["format"], 2))


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
