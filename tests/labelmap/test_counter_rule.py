"""What moves a label counter: the table of the rule, and the rule against a model of DVID."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvidsync_dagster.datatypes.labelmap.counter_rule import (
    HIGHEST_GIVEN,
    REACH,
    CounterState,
    ids_of,
    left_by,
    past,
)
from dvidsync_dagster.datatypes.labelmap.events import (
    Cleave,
    LabelEvent,
    Merge,
    RaiseMaxLabel,
    Renumber,
    ReserveLabels,
    SetNextLabel,
    Split,
    SplitSupervoxel,
)
from dvidsync_dagster.datatypes.labelmap.gather import gather
from dvidsync_dagster.datatypes.labelmap.server.seen import Contact
from dvidsync_dagster.datatypes.source_side import Stretch
from dvidsync_dagster.events.event import Announcement
from dvidsync_dagster.events.origin import Origin
from tests.labelmap.crowd import ROOT, WEIGHTS, Crowd
from tests.labelmap.follower import Follower
from tests.labelmap.model import ModelLabelmap

COMMON: dict[str, Any] = {"origin": Origin(1, "labels", 0, 0), "instance": "segmentation", "version": ROOT}
BODY: dict[str, Any] = {**COMMON, "mutation_id": 7}


def cleave(new: int) -> Cleave:
    return Cleave(**BODY, orig=1, new=new, supervoxels=(2,))


def renumber(new: int) -> Renumber:
    return Renumber(**BODY, orig=1, new=new)


def cut(split: int, remain: int) -> SplitSupervoxel:
    return SplitSupervoxel(**BODY, supervoxel=2, body=1, split=split, remain=remain, volume="")


def split(new: int, part: int, remain: int) -> Split:
    return Split(**BODY, target=1, new=new, parts=((2, part, remain),), volume="")


def reserve(first: int, last: int) -> ReserveLabels:
    return ReserveLabels(**COMMON, first=first, last=last)


def set_next(label: int) -> SetNextLabel:
    return SetNextLabel(**COMMON, next_label=label, ceiling=None)


def after(state: CounterState, event: LabelEvent) -> CounterState:
    """How a counter stands after the event; `state` is how it stood before."""
    if isinstance(event, SetNextLabel):
        return CounterState(event.next_label + 1, was_set=True)
    ids = ids_of(event)
    return state if ids is None else past(state, ids)


MERGE = Merge(**BODY, target=1, labels=(2,))
RAISED = RaiseMaxLabel(**COMMON, max_label=700)

# The counter stands at 100: where it stands afterwards, in mode 1 and in mode 2; and where it would if the
# event were not selected, and if it had failed.
TABLE: list[tuple[LabelEvent, tuple[int, int], tuple[int, int], tuple[int, int] | None]] = [
    (MERGE, (100, 100), (100, 100), (100, 100)),
    (cleave(100), (101, 101), (101, 101), (101, 101)),
    (cleave(103), (104, 104), (104, 104), (104, 104)),
    (cleave(90), (100, 100), (100, 100), (100, 100)),
    (split(100, 101, 102), (103, 103), (103, 103), (103, 103)),
    (cut(100, 101), (102, 102), (102, 102), (102, 102)),
    (cut(101, 100), (102, 102), (102, 102), (102, 102)),
    (cut(900_000, 900_001), (900_002, 100), (900_002, 100), (900_002, 100)),
    (cut(100 + REACH, 101 + REACH), (102 + REACH, 100), (102 + REACH, 100), (102 + REACH, 100)),
    (cut(20, 21), (100, 100), (100, 100), (100, 100)),
    (renumber(900_000), (900_001, 100), (900_001, 100), (100, 100)),
    (renumber(50), (100, 100), (100, 100), (100, 100)),
    (reserve(100, 109), (110, 110), (110, 110), None),
    (RAISED, (701, 100), (701, 100), None),
    (set_next(500), (501, 501), (501, 501), None),
    (set_next(50), (51, 51), (51, 51), None),
    (reserve(100, HIGHEST_GIVEN), (2**64 - 1, 2**64 - 1), (2**64 - 1, 2**64 - 1), None),
]


@pytest.mark.parametrize(("event", "done", "unselected", "failed"), TABLE)
@pytest.mark.parametrize("was_set", [False, True], ids=["mode 1", "mode 2"])
def test_where_the_counter_stands_afterwards(
    event: LabelEvent,
    done: tuple[int, int],
    unselected: tuple[int, int],
    failed: tuple[int, int] | None,
    was_set: bool,
) -> None:
    before = CounterState(100, was_set)
    now_set = was_set or isinstance(event, SetNextLabel)
    assert after(before, event) == CounterState(done[was_set], now_set)
    rest = left_by(event)
    assert (after(before, rest) if rest else before).next_label == unselected[was_set]
    if failed is not None:
        rest = left_by(event, failed=True)
        assert (after(before, rest) if rest else before).next_label == failed[was_set]


def test_what_is_left_is_left_once_and_loses_no_version() -> None:
    for event, *_ in TABLE:
        rest = left_by(event)
        if rest is not None:
            assert left_by(rest) == rest
            expected = "" if isinstance(event, SetNextLabel) else ROOT
            assert (rest.origin, rest.instance, rest.version) == (
                event.origin,
                event.instance,
                expected,
            )


@settings(max_examples=200)
@given(st.integers(0, 2**32), st.integers(1, 60))
def test_the_rule_says_what_a_server_does(seed: int, operations: int) -> None:
    """One person at work: after each message the counter stands where the rule says."""
    model = ModelLabelmap.filled(ROOT, 24)
    weights = {**WEIGHTS, "set_next": 1.0, "commit": 0, "branch": 0}
    crowd = Crowd(model, Random(seed), 1, weights)
    state = CounterState(model.following, was_set=False)
    reader = Follower(model, model.copy(), Contact(0), Random(0))
    for _ in range(operations):
        said = len(crowd.log)
        crowd.work(1)
        for event in reader.read(crowd.log[said:]):
            assert isinstance(event, LabelEvent)
            state = after(state, event)
        assert state == CounterState(model.following, model.set_label != 0)


@settings(max_examples=100)
@given(st.permutations([entry[0] for entry in TABLE]), st.booleans())
def test_only_setting_it_moves_a_counter_back(events: list[LabelEvent], was_set: bool) -> None:
    state = CounterState(100, was_set)
    for event in events:
        now = after(state, event)
        if not isinstance(event, SetNextLabel):
            assert now.next_label >= state.next_label
            assert now.was_set == state.was_set
            assert after(now, event) == now
            assert after(state, replace(event, version="b" * 32)) == now
        state = now


@pytest.mark.parametrize(
    ("done", "own", "waits"),
    [
        (cleave(102), 103, True),
        (renumber(102), 103, True),
        (renumber(900_000), 103, False),
        (reserve(65, 2**63), 103, False),
        (renumber(900_000), None, True),
    ],
)
def test_who_took_an_id_before_and_says_so_after(done: LabelEvent, own: int | None, waits: bool) -> None:
    """Of what lies above the source's own counter nobody has to wait for anything."""
    later = replace(cleave(101), mutation_id=8)
    found = gather(
        Stretch(
            announced=[Announcement(done)],
            ahead=[Announcement(later)],
            applied_before=(),
            ended_before=0,
            ask=lambda *_: {},
            waiting=(),
            counters={"segmentation": own} if own else {},
        )
    )
    assert found.to_come == ([later] if waits else [])
