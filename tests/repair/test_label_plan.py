"""Plans for labels, carried out at a model of a labelmap that refuses what a server refuses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvidsync_dagster.datatypes.commands import Command, Step
from dvidsync_dagster.datatypes.labelmap import regrouping
from dvidsync_dagster.datatypes.labelmap.counter_rule import CounterState
from dvidsync_dagster.datatypes.labelmap.foreseen import counter_after
from dvidsync_dagster.datatypes.labelmap.regrouping import Planned, plan_labels
from dvidsync_dagster.datatypes.labelmap.server.commands import (
    CleaveBody,
    Fresh,
    Label,
    LabelCommand,
    MergeBodies,
    RenumberBody,
    Signature,
    TakeLabel,
)

VERSION, LABELS = "v", "segmentation"


class Model:
    """The body of each supervoxel, and the label counter. In mode 1 a renumber raises the counter."""

    def __init__(self, bodies: Mapping[int, int], following: int, *, mode: int = 1) -> None:
        self.bodies = dict(bodies)
        self.following = following
        self.mode = mode
        self.requests: Counter[str] = Counter()

    def of(self, label: int) -> list[int]:
        return [supervoxel for supervoxel, body in self.bodies.items() if body == label]

    def reserve(self, count: int) -> int:
        assert count > 0
        self.requests["reserve"] += 1
        self.following += count
        return self.following - count

    def cleave(self, label: int, supervoxels: Sequence[int]) -> int:
        self.requests["cleave"] += 1
        assert supervoxels
        assert set(supervoxels) < set(self.of(label)), "all of a body cannot be cleaved off"
        new = self.following
        assert not self.of(new), "a label that is in use was picked"
        self.following += 1
        self.bodies.update(dict.fromkeys(supervoxels, new))
        return new

    def merge(self, target: int, labels: Sequence[int]) -> None:
        self.requests["merge"] += 1
        assert self.of(target)
        assert target not in labels
        for label in labels:
            assert self.of(label), f"{label} is no body"
            self.bodies.update(dict.fromkeys(self.of(label), target))

    def renumber(self, new: int, old: int) -> None:
        self.requests["renumber"] += 1
        assert self.of(old)
        assert not self.of(new), f"{new} is there already"
        self.bodies.update(dict.fromkeys(self.of(old), new))
        if self.mode == 1:
            self.following = max(self.following, new + 1)


class ModelExecutor:
    """Carries out commands as a destination does: labels that the server picks fill in for fresh ones.

    Args:
        ceiling: the source's next label: up to there labels can be left out without getting ahead of it.
    """

    def __init__(self, model: Model, ceiling: int) -> None:
        self.model = model
        self.ceiling = ceiling
        self.given: dict[Fresh, int] = {}

    def carry_out(self, steps: Sequence[Step], random: Random) -> None:
        """In any order in which no step comes before one that it waits for."""
        done: set[int] = set()
        while len(done) < len(steps):
            ready = [
                number
                for number, step in enumerate(steps)
                if number not in done and done.issuperset(step.waits_for)
            ]
            assert ready, "the steps wait for each other"
            number = random.choice(ready)
            self._do(steps[number].command)
            done.add(number)

    def _do(self, command: Command) -> None:
        match command:
            case CleaveBody():
                self._cleave(command)
            case MergeBodies():
                labels = [self._label(label) for label in command.labels]
                self.model.merge(self._label(command.target), labels)
            case TakeLabel():
                self._skip(command.avoid)
                self.given[command.result] = self.model.reserve(1)
            case RenumberBody():
                self.model.renumber(self._label(command.new), self._label(command.orig))
            case _:
                raise AssertionError(command)

    def _cleave(self, command: CleaveBody) -> None:
        wanted, supervoxels = command.new, command.supervoxels or ()
        if isinstance(wanted, Fresh):
            self._skip(command.avoid)
            self.given[wanted] = self.model.cleave(command.orig, supervoxels)
            return
        if self.model.following < wanted < self.ceiling:
            self.model.reserve(wanted - self.model.following)
        elif self.model.following != wanted:
            self._skip(command.avoid)
        got = self.model.cleave(command.orig, supervoxels)
        if got != wanted:
            self.model.renumber(wanted, got)

    def _skip(self, avoid: Collection[int]) -> None:
        while self.model.following in avoid or self.model.of(self.model.following):
            self.model.reserve(1)

    def _label(self, label: Label) -> int:
        return self.given[label] if isinstance(label, Fresh) else label


def plan(destination: Mapping[int, int], source: Mapping[int, int]) -> list[Planned]:
    moves: dict[int, dict[int, list[int]]] = {}
    for supervoxel, body in destination.items():
        if source[supervoxel] != body:
            moves.setdefault(body, {}).setdefault(source[supervoxel], []).append(supervoxel)
    keeping = {body for supervoxel, body in destination.items() if source[supervoxel] == body}
    return plan_labels(moves, keeping, set(destination.values()), version=VERSION, instance=LABELS)


def repaired(
    destination: Mapping[int, int],
    source: Mapping[int, int],
    following: int,
    *,
    ceiling: int = 0,
    mode: int = 1,
    random: Random | None = None,
) -> Model:
    model = Model(destination, following, mode=mode)
    planned = plan(destination, source)
    steps = [each.step(Signature()) for each in planned]
    ModelExecutor(model, ceiling).carry_out(steps, random or Random(0))
    assert model.bodies == dict(source)
    if mode == 1:
        before = CounterState(following, was_set=False)
        commands = [each.command for each in planned]
        foreseen = counter_after(before, commands, ceiling, lambda label: label in destination.values())
        assert foreseen.next_label == model.following
    return model


SUPERVOXELS = range(1, 9)
MAPPINGS = st.fixed_dictionaries({supervoxel: st.integers(1, 14) for supervoxel in SUPERVOXELS})


@given(
    destination=MAPPINGS,
    source=MAPPINGS,
    ahead=st.integers(0, 4),
    ceiling=st.integers(0, 16),
    random=st.randoms(),
)
def test_any_mapping_becomes_any_other(
    destination: dict[int, int], source: dict[int, int], ahead: int, ceiling: int, random: Random
) -> None:
    following = max(destination.values()) + 1 + ahead
    repaired(destination, source, following, ceiling=ceiling, random=random)


@given(
    destination=MAPPINGS,
    source=MAPPINGS,
    following=st.integers(1, 16),
    ceiling=st.integers(0, 16),
    random=st.randoms(),
)
def test_a_counter_below_labels_in_use(
    destination: dict[int, int], source: dict[int, int], following: int, ceiling: int, random: Random
) -> None:
    # In mode 2 a renumber does not move the counter, so it can be far below.
    repaired(destination, source, following, ceiling=ceiling, mode=2, random=random)


@given(destination=MAPPINGS, source=MAPPINGS)
def test_no_more_cleaves_and_merges_than_needed(destination: dict[int, int], source: dict[int, int]) -> None:
    model = repaired(destination, source, 100)
    pieces = {(destination[supervoxel], source[supervoxel]) for supervoxel in SUPERVOXELS}
    assert model.requests["cleave"] == len(pieces) - len(set(destination.values()))
    in_several = {body for body in source.values() if sum(each == body for _, each in pieces) > 1}
    assert model.requests["merge"] == len(in_several)


@given(destination=MAPPINGS, source=MAPPINGS)
def test_each_command_names_the_bodies_that_it_brings_about(
    destination: dict[int, int], source: dict[int, int]
) -> None:
    commands = plan(destination, source)
    assert bool(commands) is (destination != source)
    for each in commands:
        assert set(each.bodies) <= set(source.values())
        assert bool(each.bodies) is not isinstance(each.command, TakeLabel)
        assert (each.command.version, each.command.instance) == (VERSION, LABELS)


def merge(target: int, *labels: int) -> MergeBodies:
    return MergeBodies(version=VERSION, instance=LABELS, target=target, labels=labels)


def cleave(orig: int, new: int, *supervoxels: int) -> CleaveBody:
    return CleaveBody(
        version=VERSION,
        instance=LABELS,
        orig=orig,
        new=new,
        supervoxels=supervoxels,
        avoid=frozenset([new]),
    )


def renumber(new: int, orig: int) -> RenumberBody:
    return RenumberBody(version=VERSION, instance=LABELS, orig=orig, new=new)


@pytest.mark.parametrize(
    ("destination", "source", "planned"),
    [
        pytest.param({1: 1, 2: 2}, {1: 1, 2: 1}, [Planned(merge(1, 2), (1,), ())], id="a merge"),
        pytest.param({1: 1, 2: 1}, {1: 1, 2: 7}, [Planned(cleave(1, 7, 2), (7, 1), ())], id="a cleave"),
        pytest.param({1: 1}, {1: 7}, [Planned(renumber(7, 1), (7,), ())], id="a renumber"),
        pytest.param(
            {1: 1, 2: 7},
            {1: 7, 2: 8},
            [Planned(renumber(8, 7), (8,), ()), Planned(renumber(7, 1), (7,), (0,))],
            id="a chain",
        ),
    ],
)
def test_one_edit_takes_one_command(
    destination: dict[int, int], source: dict[int, int], planned: list[Planned]
) -> None:
    assert plan(destination, source) == planned


def test_swapped_labels_take_a_third_one() -> None:
    planned = plan({1: 1, 2: 2}, {1: 2, 2: 1})
    assert [type(each.command) for each in planned] == [TakeLabel, RenumberBody, RenumberBody, RenumberBody]


def test_a_cleave_gets_the_sources_label_by_itself() -> None:
    model = repaired({1: 1, 2: 1, 3: 1}, {1: 1, 2: 20, 3: 25}, 18, ceiling=26)
    assert model.requests == {"reserve": 2, "cleave": 2}
    assert model.following == 26


def test_a_label_that_a_body_gets_later_is_not_given_to_another() -> None:
    # Body 5 becomes 10, and 10 would be the next that a cleave gets.
    repaired({1: 5, 2: 6, 3: 6, 4: 7}, {1: 10, 2: 6, 3: 7, 4: 7}, 10)


def test_merges_of_different_bodies_need_not_wait_for_each_other() -> None:
    planned = plan({1: 1, 2: 2, 3: 3, 4: 4}, {1: 1, 2: 1, 3: 3, 4: 3})
    assert [each.waits_for for each in planned] == [(), ()]


def test_a_merge_of_more_labels_than_one_message_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regrouping, "LABELS_PER_MERGE", 2)
    source = dict.fromkeys(range(1, 7), 1)
    planned = plan({label: label for label in source}, source)
    assert [each.command for each in planned] == [merge(1, 2, 3), merge(1, 4, 5), merge(1, 6)]
    assert [each.waits_for for each in planned] == [(), (0,), (1,)]


def test_a_step_is_the_command_in_somebodys_name() -> None:
    amy = Signature("amy", "neu3", (0, 7))
    (planned,) = plan({1: 1, 2: 2}, {1: 1, 2: 1})
    step = planned.step(amy)
    assert isinstance(step.command, LabelCommand)
    assert step.command.signature == amy
    assert step.events == ()
