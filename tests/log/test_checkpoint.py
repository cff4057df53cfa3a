"""The checkpoint: its JSON form, and which of several is the furthest."""

from __future__ import annotations

import json
from dataclasses import replace
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
    furthest,
    is_at_or_beyond,
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
    key=COUNTS,
    mutation_id=COUNTS,
    clean=st.booleans(),
    era=COUNTS,
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
def test_at_or_beyond_means_that_all_is_applied(
    one: dict[str, dict[int, PartitionPosition]], other: dict[str, dict[int, PartitionPosition]]
) -> None:
    def offsets(positions: dict[str, dict[int, PartitionPosition]]) -> set[tuple[str, int, int]]:
        return {(t, p, o) for t, ps in positions.items() for p, at in ps.items() for o in applied(at, 100)}

    assert is_at_or_beyond(one, other) == (offsets(other) <= offsets(one))


def test_newest_epoch_wins_then_the_furthest_then_the_clean_one() -> None:
    old = Checkpoint(1, {"a": {0: PartitionPosition(100)}})
    start = Checkpoint(2, {"a": {0: PartitionPosition(10, ((20, 25),))}})
    later = Checkpoint(2, {"a": {0: PartitionPosition(12, ((20, 25),))}, "b": {1: PartitionPosition(0)}})
    clean = replace(later, clean=True)
    for order in ([old, start, later, clean], [clean, later, start, old]):
        assert furthest(order) == clean
    assert furthest([later, start, old]) == later
    assert furthest([]) is None
