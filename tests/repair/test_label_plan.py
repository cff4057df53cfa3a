"""Plans for labels, applied to a model of a labelmap that refuses what a server refuses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvidsync_dagster.repair.label_plan import Cleave, Merge, Renumber, Step, TakeLabel, plan_labels
from dvidsync_dagster.repair.label_steps import LabelSteps


class Model:
    """The body of each supervoxel, and the label counter. In mode 1 a renumber raises the counter."""

    def __init__(self, bodies: Mapping[int, int], following: int, *, mode: int = 1) -> None:
        self.bodies = dict(bodies)
        self.following = following
        self.mode = mode
        self.requests: Counter[str] = Counter()

    def of(self, label: int) -> list[int]:
        return [supervoxel for supervoxel, body in self.bodies.items() if body == label]

    def next_label(self) -> int:
        return self.following

    def in_use(self, label: int) -> bool:
        return bool(self.of(label))

    def reserve(self, count: int) -> int:
        assert count > 0
        self.requests["reserve"] += 1
        self.following += count
        return self.following - count

    def cleave(self, label: int, supervoxels: Sequence[int], bodies: Sequence[int]) -> int:
        self.requests["cleave"] += 1
        assert bodies
        assert supervoxels
        assert set(supervoxels) < set(self.of(label)), "all of a body cannot be cleaved off"
        new = self.following
        assert not self.of(new), "a label that is in use was picked"
        self.following += 1
        self.bodies.update(dict.fromkeys(supervoxels, new))
        return new

    def merge(self, target: int, labels: Sequence[int], bodies: Sequence[int]) -> None:
        self.requests["merge"] += 1
        assert bodies
        assert self.of(target)
        assert target not in labels
        for label in labels:
            assert self.of(label), f"{label} is no body"
            self.bodies.update(dict.fromkeys(self.of(label), target))

    def renumber(self, new: int, old: int, bodies: Sequence[int]) -> None:
        self.requests["renumber"] += 1
        assert bodies
        assert self.of(old)
        assert not self.of(new), f"{new} is there already"
        self.bodies.update(dict.fromkeys(self.of(old), new))
        if self.mode == 1:
            self.following = max(self.following, new + 1)


def plan(copy: Mapping[int, int], source: Mapping[int, int]) -> list[Step]:
    moves: dict[int, dict[int, list[int]]] = {}
    for supervoxel, body in copy.items():
        if source[supervoxel] != body:
            moves.setdefault(body, {}).setdefault(source[supervoxel], []).append(supervoxel)
    keeping = {body for supervoxel, body in copy.items() if source[supervoxel] == body}
    return plan_labels(moves, keeping, set(copy.values()))


def repaired(
    copy: Mapping[int, int], source: Mapping[int, int], following: int, *, ceiling: int = 0, mode: int = 1
) -> Model:
    model = Model(copy, following, mode=mode)
    steps = LabelSteps(model, ceiling=ceiling, in_flight=1, still_owner=lambda: None)
    steps.take(plan(copy, source))
    assert model.bodies == dict(source)
    return model


SUPERVOXELS = range(1, 9)
MAPPINGS = st.fixed_dictionaries({supervoxel: st.integers(1, 14) for supervoxel in SUPERVOXELS})


@given(copy=MAPPINGS, source=MAPPINGS, ahead=st.integers(0, 4), ceiling=st.integers(0, 16))
def test_any_mapping_becomes_any_other(
    copy: dict[int, int], source: dict[int, int], ahead: int, ceiling: int
) -> None:
    repaired(copy, source, max(copy.values()) + 1 + ahead, ceiling=ceiling)


@given(copy=MAPPINGS, source=MAPPINGS, following=st.integers(1, 16), ceiling=st.integers(0, 16))
def test_a_counter_below_labels_in_use(
    copy: dict[int, int], source: dict[int, int], following: int, ceiling: int
) -> None:
    # In mode 2 a renumber does not move the counter, so it can be far below.
    repaired(copy, source, following, ceiling=ceiling, mode=2)


@given(copy=MAPPINGS, source=MAPPINGS)
def test_no_more_cleaves_and_merges_than_needed(copy: dict[int, int], source: dict[int, int]) -> None:
    model = repaired(copy, source, 100)
    pieces = {(copy[supervoxel], source[supervoxel]) for supervoxel in SUPERVOXELS}
    assert model.requests["cleave"] == len(pieces) - len(set(copy.values()))
    in_several = {body for body in source.values() if sum(each == body for _, each in pieces) > 1}
    assert model.requests["merge"] == len(in_several)


@pytest.mark.parametrize(
    ("copy", "source", "steps"),
    [
        pytest.param({1: 1, 2: 2}, {1: 1, 2: 1}, [Merge(1, (2,), 1)], id="a merge"),
        pytest.param({1: 1, 2: 1}, {1: 1, 2: 7}, [Cleave(1, (2,), 7, 7, True)], id="a cleave"),
        pytest.param({1: 1}, {1: 7}, [Renumber(7, 1, 7)], id="a renumber"),
        pytest.param({1: 1, 2: 7}, {1: 7, 2: 8}, [Renumber(8, 7, 8), Renumber(7, 1, 7)], id="a chain"),
    ],
)
def test_one_edit_takes_one_step(copy: dict[int, int], source: dict[int, int], steps: list[Step]) -> None:
    assert plan(copy, source) == steps


def test_swapped_labels_take_a_third_one() -> None:
    steps = plan({1: 1, 2: 2}, {1: 2, 2: 1})
    assert [type(step) for step in steps] == [TakeLabel, Renumber, Renumber, Renumber]


def test_a_cleave_gets_the_sources_label_by_itself() -> None:
    model = repaired({1: 1, 2: 1, 3: 1}, {1: 1, 2: 20, 3: 25}, 18, ceiling=26)
    assert model.requests == {"reserve": 2, "cleave": 2}
    assert model.following == 26


def test_a_label_that_a_body_gets_later_is_not_given_to_another() -> None:
    # Body 5 becomes 10, and 10 would be the next that a cleave gets.
    repaired({1: 5, 2: 6, 3: 6, 4: 7}, {1: 10, 2: 6, 3: 7, 4: 7}, 10)
