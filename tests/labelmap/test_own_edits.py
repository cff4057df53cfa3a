"""People edit versions that follow: their work stays, and only what it touches is left out and listed."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from dvidsync_dagster.datatypes.labelmap.events import BodyEvent, Split, SplitSupervoxel
from dvidsync_dagster.dvid.labelmap import LastMod
from tests.labelmap.crowd import WEIGHTS
from tests.labelmap.follower import Killed, cut
from tests.labelmap.model import ModelLabelmap
from tests.labelmap.test_following import COUNTER_SET, SEEDS, FollowedCrowd, scene

Place = tuple[str, int]
"""A version and a body."""


@dataclass
class Trainee:
    """Edits open versions of the destination.

    Args:
        made: what each body is since they touched it; None for one that is gone.
        given: labels that they gave.
        supervoxels: that they made.
    """

    model: ModelLabelmap
    random: Random
    made: dict[Place, set[int] | None] = field(default_factory=dict)
    given: set[int] = field(default_factory=set)
    supervoxels: set[int] = field(default_factory=set)

    def edit(self) -> None:
        version = self.random.choice([*self._open(), None])
        if version is None:
            return
        bodies = self.model.versions[version].bodies
        kind = self.random.choice([self._merge, self._cleave, self._renumber, self._split])
        kind(version, sorted(bodies))

    def _open(self) -> list[str]:
        return [uuid for uuid, node in self.model.versions.items() if not node.locked]

    def _mod(self) -> LastMod:
        return LastMod(self.model.new_mutation_id(), "trainee", "neu3", "")

    def _note(self, version: str, *labels: int) -> None:
        bodies = self.model.versions[version].bodies
        self.made |= {(version, label): set(bodies[label]) if label in bodies else None for label in labels}

    def _merge(self, version: str, bodies: list[int]) -> None:
        if len(bodies) > 4:
            target, label = self.random.sample(bodies, 2)
            self.model.do_merge(version, target, [label], self._mod())
            self._note(version, target, label)

    def _cleave(self, version: str, bodies: list[int]) -> None:
        large = [label for label in bodies if len(self.model.versions[version].bodies[label]) > 1]
        if large:
            label = self.random.choice(large)
            part = self.random.choice(sorted(self.model.versions[version].bodies[label]))
            new, _ = self.model.take()
            self.model.do_cleave(version, label, [part], new, self._mod())
            self.given.add(new)
            self._note(version, label, new)

    def _renumber(self, version: str, bodies: list[int]) -> None:
        if bodies:
            label, (new, _) = self.random.choice(bodies), self.model.take()
            self.model.do_renumber(version, new, label, self._mod())
            self.given.add(new)
            self._note(version, label, new)

    def _split(self, version: str, bodies: list[int]) -> None:
        extents = self.model.extents
        every = [
            (label, part)
            for label in bodies
            for part in sorted(self.model.versions[version].bodies[label])
            if extents[part].high - extents[part].low > 1
        ]
        if every:
            label, part = self.random.choice(every)
            half, remain = self.model.take(2)
            if not {half, remain} & extents.keys():
                self.model.do_split(version, part, half, remain, extents[part].low + 1, self._mod())
                self.supervoxels |= {half, remain}
                self._note(version, label)


def lineage(model: ModelLabelmap, version: str) -> list[str]:
    found = [version]
    while (parent := model.versions[found[-1]].parent) is not None:
        found.append(parent)
    return found


def differing(this: FollowedCrowd) -> set[Place]:
    """The bodies that are not the same on both sides."""
    found = set()
    for version, node in this.source.versions.items():
        other = this.destination.versions.get(version)
        if other is not None:
            found |= {
                (version, label)
                for label in node.bodies.keys() | other.bodies.keys()
                if node.bodies.get(label) != other.bodies.get(label)
            }
    return found


def touched(event: BodyEvent) -> set[int]:
    """Bodies, and ids of supervoxels that it gives."""
    found = {label for label in event.bodies if label}
    if isinstance(event, SplitSupervoxel | Split):
        found |= {label for part in event.parts for label in part}
    return found


def assert_own_work_stays(this: FollowedCrowd, trainee: Trainee) -> None:
    for (version, label), parts in trainee.made.items():
        # A label that they gave and took back is free for the source's.
        if parts is None and label in trainee.given:
            continue
        assert this.destination.versions[version].bodies.get(label) == parts, (version, label)


def assert_listed(this: FollowedCrowd, trainee: Trainee, book: list[BodyEvent]) -> None:
    """Differences are own work or in the table."""
    own = set(trainee.made)
    rows = {(event.version, label) for event in book for label in event.bodies}
    for version, label in differing(this):
        explained = {(ancestor, label) for ancestor in lineage(this.source, version)}
        assert explained & (own | rows), (version, label)


def assert_grounded(this: FollowedCrowd, trainee: Trainee, book: list[BodyEvent]) -> None:
    """Each row of the table goes back to own work."""
    reached = set(trainee.made)
    for event in sorted(book, key=lambda event: event.rank):
        places = {
            (ancestor, label) for ancestor in lineage(this.source, event.version) for label in touched(event)
        }
        assert places & reached or touched(event) & trainee.supervoxels, event
        reached |= {(event.version, label) for label in event.bodies}


@settings(max_examples=100)
@given(
    SEEDS,
    st.integers(1, 60),
    st.integers(1, 4),
    st.integers(1, 4),
    st.sampled_from([0.02, 0.1, 0.4]),
    st.sampled_from([WEIGHTS, COUNTER_SET]),
)
def test_own_edits_stay_and_what_they_touch_is_left_out_and_listed(
    seed: int, operations: int, people: int, pieces: int, share: float, weights: dict[str, float]
) -> None:
    this = scene(seed, operations, people, weights)
    trainee = Trainee(this.destination, this.random)
    run = this.follower()
    run.meanwhile = lambda: trainee.edit() if this.random.random() < share else None
    run.follow(cut(this.log, this.random, pieces), looking=False, quiet=False)
    assert_own_work_stays(this, trainee)
    assert_listed(this, trainee, list(run.book.values()))
    assert_grounded(this, trainee, list(run.book.values()))


@settings(max_examples=100)
@given(SEEDS, st.integers(2, 60), st.integers(1, 4), st.integers(1, 3), st.sampled_from([0.05, 0.2]))
def test_killed_runs_keep_own_edits_and_the_list(
    seed: int, operations: int, people: int, kills: int, share: float
) -> None:
    """People edit before the runs that are killed. Where they edit between a run that was killed and the next
    one, what the former has done can be hidden."""
    this = scene(seed, operations, people)
    trainee = Trainee(this.destination, this.random)
    book: dict[str, BodyEvent] = {}
    ordered = sorted(this.log, key=lambda record: record.origin)
    half = this.random.randint(0, len(ordered))
    first = this.follower(None, book)
    first.meanwhile = lambda: trainee.edit() if this.random.random() < share else None
    first.follow(cut(ordered[:half], this.random, 2), looking=False, quiet=False)
    log = first.left + ordered[half:]
    for _ in range(kills):
        run = this.follower(this.random.randint(0, max(1, len(log) // 3)), book)
        with contextlib.suppress(Killed):
            run.follow(cut(log, this.random, this.random.randint(1, 4)), looking=True, quiet=False)
        log = run.left
    last = this.follower(None, book)
    last.follow(cut(log, this.random, this.random.randint(1, 4)), looking=True, quiet=False)
    assert last.left == []
    assert_own_work_stays(this, trainee)
    assert_listed(this, trainee, list(book.values()))
    assert_grounded(this, trainee, list(book.values()))


def test_nothing_is_left_out_without_own_edits() -> None:
    this = scene(7, 60, 3)
    run = this.follower()
    run.follow([this.log], looking=False)
    assert run.refusals == []
    assert not differing(this)
