"""People practise in versions of a copy's own, and take ids from its counter between any two requests of a
run: the source's versions end as the source's, and nobody is given an id twice."""

from __future__ import annotations

import contextlib
from copy import deepcopy
from dataclasses import dataclass, field
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from dvidsync_dagster.datatypes.labelmap.server.seen import Contact
from dvidsync_dagster.dvid.labelmap import LastMod
from tests.labelmap.crowd import ROOT, WEIGHTS, Crowd
from tests.labelmap.follower import Follower, Killed, cut
from tests.labelmap.model import ModelLabelmap, Node
from tests.labelmap.test_following import (
    COUNTER_SET,
    OPERATIONS,
    PEOPLE,
    PIECES,
    SEEDS,
    SILENT,
    FollowedCrowd,
    scene,
)

OWN = "b" * 32


@dataclass
class Practice:
    """Somebody who merges, cleaves and reserves in a version of the copy's own.

    Args:
        share: how much of the time between two requests of a run they are at work.
    """

    copy: ModelLabelmap
    random: Random
    share: float
    given: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.copy.new_version(ROOT, OWN)
        self.copy.meanwhile = self.work
        self.alone = deepcopy(self.copy.versions[OWN])
        """The version as it would be if nobody else worked on the server."""

    def work(self) -> None:
        while self.random.random() < self.share:
            node = self.copy.versions[OWN]
            bodies = sorted(node.bodies)
            several = [body for body in bodies if len(node.bodies[body]) > 1]
            if several and self.random.random() < 0.5:
                self._cleave(self.random.choice(several))
            elif len(bodies) > 2 and self.random.random() < 0.7:
                target, label = self.random.sample(bodies, 2)
                for each in self._both(node):
                    self._do(each, target, label)
            else:
                self._take(self.random.randint(1, 20))

    def _cleave(self, body: int) -> None:
        parts = sorted(self.copy.versions[OWN].bodies[body])
        (new,) = self._take(1)
        for node in self._both(self.copy.versions[OWN]):
            assert new not in node.bodies, "the label of a body was given once more"
            assert not node.mapping.get(new), "the id of a supervoxel was given once more"
            node.bodies[body] -= {parts[0]}
            node.bodies[new] = {parts[0]}
            node.mapping[new], node.mapping[parts[0]] = 0, new
            node.modified[new] = node.modified[body] = LastMod(0, "trainee", "neu3", "")

    def _do(self, node: Node, target: int, label: int) -> None:
        for supervoxel in node.bodies[label]:
            node.mapping[supervoxel] = target
        node.bodies[target] |= node.bodies.pop(label)
        node.modified.pop(label, None)
        node.modified[target] = LastMod(0, "trainee", "neu3", "")

    def _both(self, node: Node) -> tuple[Node, Node]:
        return node, self.alone

    def _take(self, count: int) -> range:
        first, last = self.copy.take(count)
        ids = range(first, last + 1)
        assert not self.given & set(ids), "an id was given to somebody twice"
        self.given |= set(ids)
        return ids

    def assert_intact(self) -> None:
        assert self.copy.versions[OWN] == self.alone


class Reserving(Practice):
    """Somebody who only reserves: nobody is harmed where a server gives labels that bodies have."""

    def work(self) -> None:
        while self.random.random() < self.share:
            self._take(self.random.randint(1, 20))


def assert_same(this: FollowedCrowd) -> None:
    """In all versions of the source."""
    copy = {uuid: held for uuid, held in this.destination.state().items() if uuid != OWN}
    assert copy == this.source.state()


def follower(this: FollowedCrowd, kill_after: int | None = None) -> Follower:
    return Follower(this.source, this.destination, this.contact, this.random, kill_after, shares_ids=True)


SHARES = st.sampled_from([0.2, 0.6, 0.9])


@settings(max_examples=100)
@given(
    SEEDS,
    OPERATIONS,
    PEOPLE,
    PIECES,
    st.sampled_from([WEIGHTS, COUNTER_SET, SILENT]),
    st.booleans(),
    SHARES,
)
def test_any_cut_ends_as_the_source_and_leaves_practice_alone(
    seed: int,
    operations: int,
    people: int,
    pieces: int,
    weights: dict[str, float],
    admin: bool,
    share: float,
) -> None:
    this = scene(seed, operations, people, weights)
    this.destination.admin = admin
    practice = Practice(this.destination, this.random, share)
    run = follower(this)
    run.follow(cut(this.log, this.random, pieces), looking=False)
    assert run.refusals == []
    assert_same(this)
    practice.assert_intact()


@settings(max_examples=100)
@given(SEEDS, OPERATIONS, PEOPLE, st.integers(1, 3), st.sampled_from([WEIGHTS, COUNTER_SET]), SHARES)
def test_killed_runs_end_as_the_source_and_leave_practice_alone(
    seed: int, operations: int, people: int, kills: int, weights: dict[str, float], share: float
) -> None:
    this = scene(seed, operations, people, weights)
    practice = Practice(this.destination, this.random, share)
    for _ in range(kills):
        run = follower(this, this.random.randint(0, max(1, len(this.log) // 3)))
        with contextlib.suppress(Killed):
            run.follow(cut(this.log, this.random, this.random.randint(1, 5)), looking=True)
        assert run.refusals == []
        practice.work()
    last = follower(this)
    last.follow(cut(this.log, this.random, this.random.randint(1, 5)), looking=True)
    assert last.refusals == []
    assert_same(this)
    practice.assert_intact()


@settings(max_examples=100)
@given(
    SEEDS,
    OPERATIONS,
    PEOPLE,
    PIECES,
    st.sets(st.integers(150, 400), max_size=60),
    st.booleans(),
    st.sampled_from([0.2, 0.6]),
)
def test_where_the_counter_was_set_no_body_is_overwritten(
    seed: int, operations: int, people: int, pieces: int, high: set[int], admin: bool, share: float
) -> None:
    """Practice leads the counter to labels that bodies have, and that the source's never reaches."""
    random, source = Random(seed), ModelLabelmap.filled(ROOT, 24)
    for label in high:
        source.new_body(ROOT, label)
    source.set_label = 24
    crowd = Crowd(source, random, people, {"merge": 8, "cleave": 6, "renumber": 2})
    copy = source.copy()
    copy.admin = admin
    crowd.work(operations)
    this = FollowedCrowd(crowd, source, copy, Contact(copy.mutation_id + 1), random)
    practice = Reserving(copy, random, share)
    run = follower(this)
    run.follow(cut(this.log, random, pieces), looking=False)
    assert run.refusals == []
    assert_same(this)
    practice.assert_intact()


@settings(max_examples=50)
@given(SEEDS, OPERATIONS, PEOPLE, PIECES, st.sampled_from([0.2, 0.6]))
def test_a_cleave_costs_one_renumber_at_most_and_nothing_else(
    seed: int, operations: int, people: int, pieces: int, share: float
) -> None:
    this = scene(seed, operations, people, {**WEIGHTS, "split": 0})
    Practice(this.destination, this.random, share)
    follower(this).follow(cut(this.log, this.random, pieces), looking=False)
    cleaves = this.crowd.done.get("cleave", 0)
    assert this.asked("cleave") == cleaves
    assert this.asked("renumber") <= this.crowd.done.get("renumber", 0) + cleaves
    assert this.asked("set") == 0
