"""From an order to steps: operations that one request can repeat become one step."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from dvidsync_dagster.plan.claims import Claim, Key
from dvidsync_dagster.plan.order import Ordering

M = TypeVar("M")


class Combiner(Protocol[M]):
    """Decides which events one request can repeat."""

    def joins(self, event: M, open_steps: Sequence[Sequence[M]]) -> Sequence[int]:
        """Which of the open steps that it touches (each given by its members) the event can be one request
        with, by position; none if it must stand alone."""
        ...

    def combined(self, members: Sequence[M]) -> M:
        """The one request that repeats all members, which are in their order."""
        ...


@dataclass(frozen=True, slots=True)
class Step(Generic[M]):
    """One request (or few that belong together).

    Args:
        request: what to do.
        members: the events that it repeats, in their order; the request itself if it is just one.
        waits_for: indexes of the steps that must be done before.
    """

    request: M
    members: tuple[M, ...]
    waits_for: tuple[int, ...]


class _Draft(Generic[M]):
    """A step in the making. It is open while it is the last that touches anything it touches."""

    __slots__ = ("is_open", "keys", "members", "places", "waits_for")

    def __init__(self) -> None:
        self.places: list[int] = []
        self.members: list[M] = []
        self.keys: set[Key] = set()
        self.waits_for: set[int] = set()
        self.is_open = True


def build_steps(
    events: Sequence[M],
    claims: Sequence[Claim],
    ordering: Ordering,
    *,
    leave_out: Collection[int],
    combiner: Combiner[M],
) -> list[Step[M]]:
    """The steps for all events but those left out.

    Nothing waits for an open step yet, so whatever joins it can bring its own waiting along without closing a
    circle.
    """
    last_on: dict[Key, _Draft[M]] = {}
    draft_of: dict[int, _Draft[M]] = {}
    passed_on: dict[int, set[int]] = {}
    for index in ordering.sequence:
        before = _through(ordering.waits_for[index], passed_on)
        keys = claims[index].keys
        if index in leave_out:
            passed_on[index] = before
            # What comes after it waits for what came before it.
            for key in keys:
                if key in last_on:
                    last_on[key].is_open = False
            continue
        touching = list({id(draft): draft for draft in (last_on.get(key) for key in keys) if draft}.values())
        candidates = [draft for draft in touching if draft.is_open]
        positions = combiner.joins(events[index], [draft.members for draft in candidates])
        joined = sorted((candidates[position] for position in positions), key=lambda draft: -len(draft.keys))
        for draft in touching:
            draft.is_open = False
        draft = joined[0] if joined else _Draft[M]()
        draft.is_open = True
        for other in joined[1:]:
            _absorb(draft, other, last_on)
            draft_of.update((member, draft) for member in other.places)
        draft.places.append(index)
        draft.members.append(events[index])
        draft.keys.update(keys)
        draft.waits_for |= before
        draft_of[index] = draft
        for key in keys:
            last_on[key] = draft
    return _finish(ordering, draft_of, combiner)


def _through(before: Sequence[int], passed_on: dict[int, set[int]]) -> set[int]:
    """What to wait for when some of it is left out: what that waited for."""
    found: set[int] = set()
    for index in before:
        found |= passed_on.get(index, {index})
    return found


def _absorb(draft: _Draft[M], other: _Draft[M], last_on: dict[Key, _Draft[M]]) -> None:
    draft.places += other.places
    draft.members += other.members
    draft.keys |= other.keys
    draft.waits_for |= other.waits_for
    for key in other.keys:
        last_on[key] = draft


def _finish(ordering: Ordering, draft_of: dict[int, _Draft[M]], combiner: Combiner[M]) -> list[Step[M]]:
    place_of = {index: place for place, index in enumerate(ordering.sequence)}
    drafts = list({id(draft): draft for draft in draft_of.values()}.values())
    number = {id(draft): position for position, draft in enumerate(drafts)}
    steps = []
    for draft in drafts:
        pairs = sorted(zip(draft.places, draft.members, strict=True), key=lambda pair: place_of[pair[0]])
        members = tuple(member for _, member in pairs)
        waits_for = {number[id(draft_of[index])] for index in draft.waits_for} - {number[id(draft)]}
        request = members[0] if len(members) == 1 else combiner.combined(members)
        steps.append(Step(request, members, tuple(sorted(waits_for))))
    return steps
