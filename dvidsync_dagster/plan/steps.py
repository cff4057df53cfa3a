"""From an order to groups: operations that one command can repeat become one group."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from dvidsync_dagster.plan.claims import Claim, Key
from dvidsync_dagster.plan.order import Ordering


@dataclass(frozen=True, slots=True)
class OpenGroup:
    """What `Joins` is told of an open group: no list of members, as groups grow long and are asked often.

    Args:
        last: the index of its last operation.
        keys: how many it touches.
    """

    last: int
    keys: int


Joins = Callable[[int, Sequence[OpenGroup]], Sequence[int]]
"""Tells which of the open groups that an operation (by index) touches it can be one command with, by
position; none if it must stand alone."""


@dataclass(frozen=True, slots=True)
class Group:
    """Operations that one command repeats.

    Args:
        members: their indexes, in their order.
        waits_for: indexes of the groups that must be done before.
    """

    members: tuple[int, ...]
    waits_for: tuple[int, ...]


class _Draft:
    """A group in the making. It is open until an operation outside of it touches one of its keys."""

    __slots__ = ("is_open", "keys", "members", "waits_for")

    def __init__(self) -> None:
        self.members: list[int] = []
        self.keys: set[Key] = set()
        self.waits_for: set[int] = set()
        self.is_open = True


def build_groups(
    claims: Sequence[Claim], ordering: Ordering, *, leave_out: Collection[int], joins: Joins
) -> list[Group]:
    """The groups for all operations but those left out.

    Nothing waits for an open group yet, so whatever joins it can bring its own waiting along without closing
    a circle.
    """
    building = _Building(claims, joins)
    for index in ordering.sequence:
        if index in leave_out:
            building.pass_over(index, ordering.waits_for[index])
        else:
            building.place(index, ordering.waits_for[index])
    return _before_changes(building.groups(ordering), claims)


class _Building:
    def __init__(self, claims: Sequence[Claim], joins: Joins) -> None:
        self._claims = claims
        self._joins = joins
        self._last_on: dict[Key, _Draft] = {}
        self._draft_of: dict[int, _Draft] = {}
        self._passed_on: dict[int, set[int]] = {}

    def pass_over(self, index: int, before: Sequence[int]) -> None:
        """Leave an operation out. Whatever waits for it will wait for what it waited for (`before`)."""
        self._passed_on[index] = set(self._through(before))
        for key in self._claims[index].keys:
            if key in self._last_on:
                self._last_on[key].is_open = False

    def place(self, index: int, before: Sequence[int]) -> None:
        keys = self._claims[index].keys
        touching = list(dict.fromkeys(filter(None, map(self._last_on.get, keys))))
        draft = self._joined(index, [draft for draft in touching if draft.is_open])
        for other in touching:
            other.is_open = False
        draft.is_open = True
        draft.members.append(index)
        draft.keys.update(keys)
        draft.waits_for.update(self._through(before))
        self._draft_of[index] = draft
        for key in keys:
            self._last_on[key] = draft

    def _joined(self, index: int, candidates: Sequence[_Draft]) -> _Draft:
        positions = self._joins(
            index, [OpenGroup(draft.members[-1], len(draft.keys)) for draft in candidates]
        )
        joined = sorted((candidates[position] for position in positions), key=lambda draft: -len(draft.keys))
        if not joined:
            return _Draft()
        for other in joined[1:]:
            self._absorb(joined[0], other)
        return joined[0]

    def _absorb(self, draft: _Draft, other: _Draft) -> None:
        self._draft_of.update((member, draft) for member in other.members)
        draft.members += other.members
        draft.keys |= other.keys
        draft.waits_for |= other.waits_for
        for key in other.keys:
            self._last_on[key] = draft

    def _through(self, before: Sequence[int]) -> Collection[int]:
        """These operations, but in place of each that was left out those that it waited for."""
        if not self._passed_on:
            return before
        found: set[int] = set()
        for index in before:
            found |= self._passed_on.get(index, {index})
        return found

    def groups(self, ordering: Ordering) -> list[Group]:
        place_of = {index: place for place, index in enumerate(ordering.sequence)}
        drafts = list({id(draft): draft for draft in self._draft_of.values()}.values())
        number = {id(draft): position for position, draft in enumerate(drafts)}
        groups = []
        for draft in drafts:
            waits_for = {number[id(self._draft_of[index])] for index in draft.waits_for}
            waits_for.discard(number[id(draft)])
            members = tuple(sorted(draft.members, key=place_of.__getitem__))
            groups.append(Group(members, tuple(sorted(waits_for))))
        return groups


def _before_changes(groups: list[Group], claims: Sequence[Claim]) -> list[Group]:
    """The groups, each of which now also waits for those that go before its changes (`Claim.goes_before`)."""
    if not any(claim.goes_before for claim in claims):
        return groups
    changing: dict[Key, list[int]] = {}
    for index, group in enumerate(groups):
        for key in {claims[member].changes for member in group.members} - {None}:
            assert key is not None
            changing.setdefault(key, []).append(index)
    waits_for = [set(group.waits_for) for group in groups]
    for index, group in enumerate(groups):
        wanted = {key for member in group.members for key in claims[member].goes_before}
        if not wanted & changing.keys():
            continue
        earlier = _waited_for(groups, index)
        for key in wanted & changing.keys():
            for change in changing[key]:
                if change not in earlier:
                    waits_for[change].add(index)
    return [
        Group(group.members, tuple(sorted(before))) for group, before in zip(groups, waits_for, strict=True)
    ]


def _waited_for(groups: Sequence[Group], index: int) -> set[int]:
    """Everything that a group waits for, directly or not."""
    found: set[int] = set()
    waiting = [index]
    while waiting:
        for before in groups[waiting.pop()].waits_for:
            if before not in found:
                found.add(before)
                waiting.append(before)
    return found
