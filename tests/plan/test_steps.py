"""What one command can repeat, and what waits for what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from dvidsync_dagster.plan.claims import Claim, Key, Take
from dvidsync_dagster.plan.order import order
from dvidsync_dagster.plan.steps import Joins, OpenGroup, build_groups

COUNTER: Key = ("counter",)


@dataclass(frozen=True)
class Into:
    """A merge of `labels` into `target`; any other operation has no labels."""

    target: str
    labels: tuple[str, ...] = ()


def merging(events: Sequence[Into]) -> Joins:
    """Merges into one body, or into one that is then merged away, are one command."""

    def joins(index: int, open_groups: Sequence[OpenGroup]) -> Sequence[int]:
        event = events[index]
        lasts = [events[group.last] for group in open_groups]
        return [
            place
            for place, last in enumerate(lasts)
            if event.labels and last.labels and (last.target == event.target or last.target in event.labels)
        ]

    return joins


def claim(rank: int, *bodies: str, take: int | None = None) -> Claim:
    taken = None if take is None else Take(COUNTER, 0, take)
    return Claim(tuple(("body", body) for body in bodies), (rank,), (rank,), take=taken)


def test_merges_into_one_body_are_one_request() -> None:
    events = [Into("T", ("a",)), Into("T", ("b",))]
    claims = [claim(1, "T", "a"), claim(2, "T", "b")]
    (group,) = build_groups(claims, order(claims), leave_out=(), joins=merging(events))
    assert (group.members, group.waits_for) == ((0, 1), ())


def test_groups_that_are_joined_wait_for_all_that_each_waited_for() -> None:
    events = [Into("x"), Into("A", ("x",)), Into("B", ("c", "d")), Into("A", ("B",))]
    claims = [claim(rank, event.target, *event.labels) for rank, event in enumerate(events)]
    groups = build_groups(claims, order(claims), leave_out=(), joins=merging(events))
    assert [(group.members, group.waits_for) for group in groups] == [((0,), ()), ((1, 2, 3), (0,))]


@given(st.lists(st.frozensets(st.sampled_from("ABCDEFGH"), min_size=1, max_size=3), max_size=30))
def test_an_open_group_is_told_by_its_last_operation_and_its_keys(touched: list[frozenset[str]]) -> None:
    """Where all that touch each other are joined."""
    claims = [claim(rank, *sorted(bodies)) for rank, bodies in enumerate(touched)]
    together: list[set[int]] = []

    def joins(index: int, open_groups: Sequence[OpenGroup]) -> Sequence[int]:
        met = [group for group in together if any(touched[each] & touched[index] for each in group)]
        assert {group.last: group.keys for group in open_groups} == {
            max(group): len(frozenset[str]().union(*(touched[each] for each in group))) for group in met
        }
        together[:] = [group for group in together if group not in met] + [{index}.union(*met)]
        return range(len(open_groups))

    groups = build_groups(claims, order(claims), leave_out=(), joins=joins)
    assert sorted(group.members for group in groups) == sorted(tuple(sorted(group)) for group in together)


def test_what_touched_a_body_in_between_keeps_them_apart() -> None:
    events = [Into("T", ("a",)), Into("a"), Into("T", ("a",))]
    claims = [claim(1, "T", "a"), claim(2, "a", "x"), claim(3, "T", "a")]
    groups = build_groups(claims, order(claims), leave_out=(), joins=merging(events))
    assert [(group.members, group.waits_for) for group in groups] == [
        ((0,), ()),
        ((1,), (0,)),
        ((2,), (0, 1)),
    ]


def test_what_is_left_out_closes_what_it_touched() -> None:
    """It waits for it, and hands that on: a merge that joined then would wait for itself."""
    events = [Into("A", ("b",)), Into("A"), Into("C"), Into("C", ("A",))]
    claims = [claim(1, "A", "b"), claim(2, "A", take=5), claim(3, "C", take=6), claim(4, "C", "A")]
    groups = build_groups(claims, order(claims), leave_out={1}, joins=merging(events))
    assert [group.members for group in groups] == [(0,), (2,), (3,)]
    assert all(before < place for place, group in enumerate(groups) for before in group.waits_for)


def test_what_waits_for_one_that_is_left_out_waits_for_what_that_waited_for() -> None:
    claims = [claim(1, "A"), claim(2, "A", "B"), claim(3, "B")]
    groups = build_groups(claims, order(claims), leave_out={1}, joins=lambda *_: ())
    assert [(group.members, group.waits_for) for group in groups] == [((0,), ()), ((2,), (0,))]


def test_what_goes_before_changes_but_waits_for_one_comes_after_that_one() -> None:
    change: Key = ("changes", "v")
    first = Claim((("body", "A"),), (1,), (1,), changes=change)
    before = Claim((("body", "B"),), (3,), (3,), goes_before=(change,))
    claims = [first, claim(2, "A", "B"), before]
    groups = build_groups(claims, order(claims), leave_out=(), joins=lambda *_: ())
    assert [group.waits_for for group in groups] == [(), (0,), (1,)]


def test_what_goes_before_changes_is_waited_for_by_all_that_come_later() -> None:
    change: Key = ("changes", "v")
    first = Claim((("body", "A"),), (1,), (1,), changes=change)
    before = Claim((), (2,), (2,), goes_before=(change,))
    last = Claim((("body", "B"),), (3,), (3,), changes=change)
    claims = [first, before, last]
    groups = build_groups(claims, order(claims), leave_out=(), joins=lambda *_: ())
    assert [group.members for group in groups] == [(0,), (1,), (2,)]
    assert [group.waits_for for group in groups] == [(1,), (), (1,)]


def test_takers_go_by_the_ids_they_took_unless_a_body_forces_another_order() -> None:
    by_ids = [claim(1, "A", take=8), claim(2, "B", take=7)]
    assert order(by_ids).sequence == (1, 0)
    assert order(by_ids).waits_for == ((1,), ())
    forced = [claim(1, "A", take=8), claim(2, "A", take=7)]
    assert order(forced).sequence == (0, 1)


def test_a_counter_that_was_set_back_counts_anew() -> None:
    first = Claim((), (1,), (1,), take=Take(COUNTER, 0, 100))
    second = Claim((), (2,), (2,), take=Take(COUNTER, 1, 5))
    assert order([second, first]).sequence == (1, 0)


def test_what_is_inside_a_version_or_needs_an_instance_waits_for_its_creation() -> None:
    version: Key = ("version", "v")
    instance: Key = ("instance", "i")
    key = Claim((), (1,), (1,), needs=(instance,), inside=version)
    made = Claim((), (2,), (2,), creates=version)
    born = Claim((), (3,), (3,), needs=(instance,), inside=version, creates=instance)
    ordering = order([key, made, born])
    assert ordering.sequence == (1, 2, 0)
    assert ordering.waits_for == ((1, 2), (), (1,))
    assert ordering.with_followers({2}) == {0, 2}
    assert ordering.with_followers({1}) == {0, 1, 2}


def test_a_commit_waits_for_what_is_inside_and_a_child_for_the_commit() -> None:
    version: Key = ("version", "v")
    inside = Claim((("body", "A"),), (3,), (3,), inside=version)
    commit = Claim((), (2,), (2,), needs=(version,), ends=version)
    child = Claim((), (1,), (1,), creates=("version", "w"), after_end=version)
    assert order([child, commit, inside]).sequence == (2, 1, 0)


def test_claims_that_contradict_each_other_are_ordered_by_the_log() -> None:
    version: Key = ("version", "v")
    late = Claim((("body", "A"),), (1,), (3,), inside=version, after_end=version)
    commit = Claim((), (2,), (2,), ends=version)
    assert sorted(order([late, commit]).sequence) == [0, 1]
