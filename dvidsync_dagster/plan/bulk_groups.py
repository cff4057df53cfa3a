"""Groups that one command carries out in bulk, whatever they touch, become one group."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field

from dvidsync_dagster.plan.steps import Group


@dataclass
class _Draft:
    places: list[int] = field(default_factory=list)


def joined_in_bulk(
    groups: Sequence[Group], keys: Sequence[Hashable | None], sequence: Sequence[int]
) -> list[Group]:
    """Join groups of one key, as far as none of them waits for another one by way of a group of another key.

    Args:
        groups: with what each waits for, without a circle.
        keys: of the groups; None for one that stays alone.
        sequence: the operations in their order.
    """
    if not any(key is not None for key in keys):
        return list(groups)
    levels = _levels(groups, keys)
    drafts: dict[Hashable, _Draft] = {}
    for place, key in enumerate(keys):
        name = ("alone", place) if key is None else ("bulk", key, levels[place])
        drafts.setdefault(name, _Draft()).places.append(place)
    number_of = {place: number for number, draft in enumerate(drafts.values()) for place in draft.places}
    order = {operation: place for place, operation in enumerate(sequence)}
    joined = []
    for number, draft in enumerate(drafts.values()):
        members = (member for place in draft.places for member in groups[place].members)
        before = {number_of[earlier] for place in draft.places for earlier in groups[place].waits_for}
        joined.append(Group(tuple(sorted(members, key=order.__getitem__)), tuple(sorted(before - {number}))))
    return joined


def _levels(groups: Sequence[Group], keys: Sequence[Hashable | None]) -> list[int]:
    """A level for each group: groups of one key and one level can be joined without making a circle.

    The level of a group is never below that of a group that it waits for. If it has a key, its level is above
    that of a group with another key, or with none. So a way that leaves the groups of a key and comes back to
    them ends on a higher level.
    """
    levels = [0] * len(groups)
    for place in _in_order(groups):
        for earlier in groups[place].waits_for:
            enters = keys[place] is not None and keys[earlier] != keys[place]
            levels[place] = max(levels[place], levels[earlier] + enters)
    return levels


def _in_order(groups: Sequence[Group]) -> Iterator[int]:
    """Each group after all that it waits for."""
    missing = [len(group.waits_for) for group in groups]
    followers: list[list[int]] = [[] for _ in groups]
    for place, group in enumerate(groups):
        for earlier in group.waits_for:
            followers[earlier].append(place)
    ready = [place for place, count in enumerate(missing) if not count]
    while ready:
        place = ready.pop()
        yield place
        for later in followers[place]:
            missing[later] -= 1
            if not missing[later]:
                ready.append(later)
