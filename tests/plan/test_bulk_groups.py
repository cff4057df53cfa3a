"""Which groups become one that a command carries out in bulk."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dvidsync_dagster.plan.bulk_groups import joined_in_bulk
from dvidsync_dagster.plan.steps import Group


@st.composite
def graphs(draw: st.DrawFn, keys: tuple[str | None, ...]) -> tuple[list[Group], list[str | None]]:
    """Groups of one operation each, which wait for some before them, with their keys."""
    count = draw(st.integers(0, 12))
    earlier = [draw(st.sets(st.integers(0, place - 1))) if place else set[int]() for place in range(count)]
    groups = [Group((place,), tuple(sorted(before))) for place, before in enumerate(earlier)]
    return groups, draw(st.lists(st.sampled_from(keys), min_size=count, max_size=count))


@given(graphs((None, "a", "b")))
def test_all_that_waits_still_waits_and_nothing_waits_for_itself(
    graph: tuple[list[Group], list[str | None]],
) -> None:
    groups, keys = graph
    joined = joined_in_bulk(groups, keys, range(len(groups)))
    home = {member: number for number, group in enumerate(joined) for member in group.members}
    assert sorted(member for group in joined for member in group.members) == list(range(len(groups)))
    done: set[int] = set()
    while ready := {number for number, each in enumerate(joined) if done.issuperset(each.waits_for)} - done:
        done |= ready
    assert len(done) == len(joined)
    for place, group in enumerate(groups):
        for before in group.waits_for:
            same = home[before] == home[place]
            assert same or home[before] in joined[home[place]].waits_for
    for group in joined:
        assert len({keys[member] for member in group.members}) == 1
        assert keys[group.members[0]] is not None or len(group.members) == 1
        assert list(group.members) == sorted(group.members)


@given(graphs(("a",)))
def test_groups_of_one_key_alone_are_one(graph: tuple[list[Group], list[str | None]]) -> None:
    groups, keys = graph
    assert len(joined_in_bulk(groups, keys, range(len(groups)))) == min(1, len(groups))


def test_what_waits_by_way_of_another_key_comes_later() -> None:
    groups = [Group((0,), ()), Group((1,), ()), Group((2,), (0,)), Group((3,), (2,)), Group((4,), (3,))]
    joined = joined_in_bulk(groups, ["a", "a", None, "a", "a"], range(5))
    assert joined == [Group((0, 1), ()), Group((2,), (0,)), Group((3, 4), (1,))]


def test_members_keep_the_order_of_the_operations() -> None:
    groups = [Group((2, 0), ()), Group((1,), ())]
    assert joined_in_bulk(groups, ["a", "a"], [2, 1, 0]) == [Group((2, 1, 0), ())]
