"""Random histories of a labelmap, followed by a model of a copy: it ends as the source, whatever the way."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from random import Random
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dvidsync_dagster.datatypes.labelmap.events import BodyEvent, Merge
from dvidsync_dagster.datatypes.labelmap.server.seen import Contact
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.events.repo import Commit
from dvidsync_dagster.log.record import Record
from tests.labelmap.crowd import ROOT, WEIGHTS, Crowd
from tests.labelmap.follower import Follower, Killed, cut
from tests.labelmap.model import ModelLabelmap

# In mode 1 the requests that repeat a `split` cannot take the ids in its order: one more id is gone.
NO_SPLITS = {**WEIGHTS, "split": 0}
COUNTER_SET = {**NO_SPLITS, "set_next": 1}
SILENT = {**COUNTER_SET, "unheard_cleave": 1}


@dataclass
class FollowedCrowd:
    """A source with its history, and the copy that was made before it (or after `before` operations)."""

    crowd: Crowd
    source: ModelLabelmap
    destination: ModelLabelmap
    contact: Contact
    random: Random

    @property
    def log(self) -> list[Record]:
        return self.crowd.log

    def follower(self, kill_after: int | None = None, book: dict[str, BodyEvent] | None = None) -> Follower:
        return Follower(
            self.source,
            self.destination,
            self.contact,
            self.random,
            kill_after,
            book={} if book is None else book,
        )

    def assert_same(self) -> None:
        assert self.destination.state() == self.source.state()

    def asked(self, what: str) -> int:
        return sum(1 for kind, _ in self.destination.requests if kind == what)


def scene(
    seed: int, operations: int, people: int, weights: dict[str, float] = WEIGHTS, *, before: int = 0
) -> FollowedCrowd:
    random = Random(seed)
    source = ModelLabelmap.filled(ROOT, 24)
    crowd = Crowd(source, random, people, weights)
    crowd.work(before)
    copy = source.copy()
    crowd.work(operations)
    return FollowedCrowd(crowd, source, copy, Contact(copy.mutation_id + 1), random)


SEEDS = st.integers(0, 2**32)
OPERATIONS = st.integers(1, 80)
PEOPLE = st.integers(1, 6)
PIECES = st.integers(1, 6)


def completed(log: list[Record]) -> set[Hashable]:
    """Every body event that the log says is done."""
    batch = Follower(ModelLabelmap.filled(ROOT, 1), ModelLabelmap.filled(ROOT, 1), Contact(0), Random(0))
    return {m.identity for m in batch.read(log) if isinstance(m, BodyEvent)}


def identities(events: list[Event]) -> list[Hashable]:
    return [event.identity for event in events if isinstance(event, BodyEvent)]


@settings(max_examples=100)
@given(SEEDS, OPERATIONS, PEOPLE, PIECES, st.sampled_from([WEIGHTS, COUNTER_SET, SILENT]))
def test_any_cut_and_any_order_that_the_plan_allows_ends_as_the_source(
    seed: int, operations: int, people: int, pieces: int, weights: dict[str, float]
) -> None:
    this = scene(seed, operations, people, weights)
    run = this.follower()
    run.follow(cut(this.log, this.random, pieces), looking=False)
    assert run.refusals == []
    this.assert_same()


@settings(max_examples=100)
@given(SEEDS, OPERATIONS, PEOPLE, PIECES)
def test_any_cut_applies_each_operation_once(seed: int, operations: int, people: int, pieces: int) -> None:
    this = scene(seed, operations, people)
    run = this.follower()
    run.follow(cut(this.log, this.random, pieces), looking=False)
    applied = identities(run.applied)
    assert len(applied) == len(set(applied))
    assert set(applied) == completed(this.log)


@settings(max_examples=100)
@given(SEEDS, OPERATIONS, PEOPLE, PIECES, st.sampled_from([NO_SPLITS, COUNTER_SET]))
def test_whatever_the_cut_no_id_costs_an_extra_request_and_the_counter_is_exact(
    seed: int, operations: int, people: int, pieces: int, weights: dict[str, float]
) -> None:
    this = scene(seed, operations, people, weights)
    this.follower().follow(cut(this.log, this.random, pieces), looking=False)
    assert this.destination.following == this.source.following
    assert this.asked("renumber") == this.crowd.done.get("renumber", 0)
    assert this.asked("cleave") == this.crowd.done.get("cleave", 0)


@settings(max_examples=50)
@given(SEEDS, OPERATIONS, PEOPLE, PIECES)
def test_the_counter_ends_where_the_sources_is_even_if_ids_went_without_a_word(
    seed: int, operations: int, people: int, pieces: int
) -> None:
    this = scene(seed, operations, people, {**SILENT, "set_next": 5})
    assume(this.source.set_label)
    # Where everything is committed, ids that went without a word cannot be reserved.
    assume(any(not node.locked for node in this.source.versions.values()))
    this.follower().follow(cut(this.log, this.random, pieces), looking=False)
    assert this.destination.following == this.source.following


@settings(max_examples=100)
@given(
    SEEDS,
    OPERATIONS,
    PEOPLE,
    PIECES,
    st.sampled_from([NO_SPLITS, SILENT]),
    st.booleans(),
    st.sampled_from(["cleave", "split-supervoxel", "post-nextlabel"]),
    st.integers(0, 2**64 - 2),
)
def test_a_record_of_labels_that_were_never_given_moves_the_counter_nowhere(
    seed: int,
    operations: int,
    people: int,
    pieces: int,
    weights: dict[str, float],
    admin: bool,
    kind: str,
    beyond: int,
) -> None:
    this = scene(seed, operations, people, weights)
    assume(any(not node.locked for node in this.source.versions.values()))
    this.destination.admin = admin
    # Without the token a copy stays in mode 1 and runs ahead by itself.
    assume(admin or not this.source.set_label)
    log = list(this.log)
    this.crowd.announce_never_given(kind, min(this.source.highest_given + 1 + beyond, 2**64 - 2))
    forged = this.log[len(log) :]
    log.insert(this.random.randrange(len(log) + 1), moved_to_any_key(forged[0], log, this.random))
    this.follower().follow(cut(log, this.random, pieces), looking=False)
    this.assert_same()
    assert this.destination.following == this.source.following


def moved_to_any_key(record: Record, log: list[Record], random: Random) -> Record:
    """As if it had been written beside another one of the log."""
    key = random.choice(log).origin.key_ns + 1 if log else record.origin.key_ns
    return record._replace(key_ns=key, offset=10**6)


@settings(max_examples=50)
@given(SEEDS, OPERATIONS, PEOPLE)
def test_steps_that_share_a_body_wait_for_each_other(seed: int, operations: int, people: int) -> None:
    this = scene(seed, operations, people)
    run = this.follower()
    run.follow([sorted(this.log, key=lambda record: record.origin)], looking=False)
    (plan,) = run.plans
    before: list[set[int]] = [set() for _ in plan.steps]
    done = 0
    waiting = set(range(len(plan.steps)))
    while waiting:
        ready = {index for index in waiting if not set(plan.steps[index].waits_for) & waiting}
        assert ready, "a circle"
        for index in ready:
            for earlier in plan.steps[index].waits_for:
                before[index] |= before[earlier] | {earlier}
        waiting -= ready
        done += len(ready)
    touched = [
        {(m.version, body) for m in step.events if isinstance(m, BodyEvent) for body in m.bodies}
        for step in plan.steps
    ]
    for one, other in combinations(range(len(plan.steps)), 2):
        assert not touched[one] & touched[other] or one in before[other] or other in before[one]


@settings(max_examples=100)
@given(
    SEEDS, OPERATIONS, PEOPLE, st.integers(0, 40), st.integers(0, 40), st.sampled_from([WEIGHTS, COUNTER_SET])
)
def test_a_look_finds_exactly_what_a_killed_run_has_done(
    seed: int, operations: int, people: int, before: int, kill_after: int, weights: dict[str, float]
) -> None:
    this = scene(seed, operations, people, weights, before=before)
    ordered = sorted(this.log, key=lambda record: record.origin)
    copied = {
        event.identity
        for event in this.follower().read(ordered)
        if isinstance(event, BodyEvent) and event.mutation_id < this.contact.next_mutation_id
    }
    first = this.follower(kill_after)
    try:
        first.follow([ordered], looking=True)
    except Killed:
        second = this.follower()
        there, doubtful = second.presence(ordered)
        assert set(identities(there)) == copied | set(identities(first.sent))
        assert not doubtful
        second.follow([ordered], looking=True)
        assert second.refusals == []
    this.assert_same()


@settings(max_examples=150)
@given(
    SEEDS,
    OPERATIONS,
    PEOPLE,
    st.integers(1, 3),
    st.sampled_from([0, 30]),
    st.sampled_from([WEIGHTS, COUNTER_SET]),
)
def test_killed_runs_with_other_cuts_each_time_end_as_the_source(
    seed: int, operations: int, people: int, kills: int, before: int, weights: dict[str, float]
) -> None:
    this = scene(seed, operations, people, weights, before=before)
    for _ in range(kills):
        run = this.follower(this.random.randint(0, max(1, len(this.log) // 3)))
        with contextlib.suppress(Killed):
            run.follow(cut(this.log, this.random, this.random.randint(1, 5)), looking=True)
        assert run.refusals == []
    last = this.follower()
    last.follow(cut(this.log, this.random, this.random.randint(1, 5)), looking=True)
    assert last.refusals == []
    this.assert_same()
    if weights is COUNTER_SET:
        assert this.destination.following == this.source.following


@settings(max_examples=60)
@given(SEEDS, OPERATIONS, PEOPLE, PIECES)
def test_what_is_all_there_is_not_applied_again(seed: int, operations: int, people: int, pieces: int) -> None:
    this = scene(seed, operations, people)
    this.follower().follow(cut(this.log, this.random, pieces), looking=False)
    this.destination.requests.clear()
    again = this.follower()
    again.follow(cut(this.log, this.random, pieces), looking=True)
    assert [what for what, _ in this.destination.requests if what not in ("reserve", "set", "maxlabel")] == []
    this.assert_same()


@settings(max_examples=60)
@given(SEEDS, st.integers(5, 60), PEOPLE)
def test_a_record_that_comes_late_is_applied_though_its_bodies_are_past_it(
    seed: int, operations: int, people: int
) -> None:
    this = scene(seed, operations, people, NO_SPLITS)
    ordered = sorted(this.log, key=lambda record: record.origin)
    merges = [m for m in this.follower().read(ordered) if isinstance(m, Merge)]
    # A merge of a body that nothing touches later, into one that was changed once more.
    late = next((merge for merge in reversed(merges) if is_leaf(merge, this.follower().read(ordered))), None)
    assume(late is not None)
    assert late is not None
    name = f'"MutationID":{late.mutation_id},'.encode()
    this.follower().follow([[r for r in ordered if name not in (r.value or b"")]], looking=False, quiet=False)
    end = this.follower()
    end.follow([[r for r in ordered if name in (r.value or b"")]], looking=True)
    assert end.refusals == []
    bodies = {uuid: node.bodies for uuid, node in this.destination.versions.items()}
    assert bodies == {uuid: node.bodies for uuid, node in this.source.versions.items()}


def is_leaf(merge: Merge, events: list[Event]) -> bool:
    """Only its target is touched later, and only by merges into it; its version stays open."""
    later = [
        m for m in events if isinstance(m, BodyEvent) and m.version == merge.version and m.rank > merge.rank
    ]
    on_labels = [m for m in later if set(m.bodies) & set(merge.labels)]
    on_target = [m for m in later if merge.target in m.bodies]
    closed = any(isinstance(m, Commit) and m.version == merge.version for m in events)
    into = all(isinstance(m, Merge) and m.target == merge.target for m in on_target)
    return bool(on_target) and not on_labels and into and not closed


def test_a_renumber_to_a_label_that_a_later_chunk_gives_away_again_is_not_repeated() -> None:
    """`renumber [18, 19]`, `merge [10, 18]`, `renumber [19, 23]`: once, a second look deleted body 19."""
    source = ModelLabelmap.filled(ROOT, 24)
    crowd = Crowd(source, Random(0), 1, partitions=1)
    copy = source.copy()
    for kind, do in (
        ("renumber", (18 + 100, 19)),
        ("renumber", (19, 23)),
    ):
        new, orig = do
        for _ in crowd.operation(
            kind,
            ROOT,
            partial(dict[str, Any], NewLabel=new, OrigLabel=orig),
            partial(source.do_renumber, ROOT, new, orig),
            lambda: None,
        ):
            pass
    this = FollowedCrowd(crowd, source, copy, Contact(copy.mutation_id + 1), Random(0))
    this.follower().follow([crowd.log], looking=True)
    chunks = [
        [record for record in crowd.log if b'"NewLabel":118' in (record.value or b"")],
        [record for record in crowd.log if b'"NewLabel":19' in (record.value or b"")],
    ]
    copy.requests.clear()
    this.follower().follow(chunks, looking=True)
    assert copy.requests == []
    this.assert_same()


def test_an_own_edit_of_the_copy_is_a_conflict_and_never_overwritten() -> None:
    source = ModelLabelmap.filled(ROOT, 24)
    crowd = Crowd(source, Random(0), 1, partitions=1)
    copy = source.copy()
    this = FollowedCrowd(crowd, source, copy, Contact(copy.mutation_id + 1), Random(0))
    copy.do_merge(ROOT, 7, [1], replace(copy.versions[ROOT].modified[7], mutation_id=copy.new_mutation_id()))
    bodies = {label: set(parts) for label, parts in copy.versions[ROOT].bodies.items()}
    for _ in crowd.operation(
        "merge",
        ROOT,
        lambda: {"Target": 3, "Labels": [1]},
        lambda mod: source.do_merge(ROOT, 3, [1], mod),
        lambda: None,
    ):
        pass
    for looking in (False, True):
        run = this.follower()
        run.follow([crowd.log], looking=looking)
        assert [refusal.found for _, refusal in run.refusals] == ["can't merge non-existent label 1"]
        assert copy.versions[ROOT].bodies == bodies
