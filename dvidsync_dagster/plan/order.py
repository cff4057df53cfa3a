"""From claims to an order: who waits for whom, and one sequence that respects it."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from dvidsync_dagster.plan.claims import Claim, Key


@dataclass(frozen=True, slots=True)
class Ordering:
    """Operations by index into the claims.

    Args:
        sequence: every operation once; each after all that it waits for.
        waits_for: direct predecessors, the counter's chain included.
        chains: the operations on each exclusive key, in their order.
    """

    sequence: tuple[int, ...]
    waits_for: tuple[tuple[int, ...], ...]
    chains: dict[Key, tuple[int, ...]]

    def with_followers(self, roots: Iterable[int]) -> set[int]:
        """The roots and everything that waits for them, directly or not."""
        found = set(roots)
        if found:
            for index in self.sequence:
                if any(before in found for before in self.waits_for[index]):
                    found.add(index)
        return found


def order(claims: Sequence[Claim]) -> Ordering:
    """Order the operations.

    Takers of label ids are chained by the ids that they took (docs/dvid.md, "The order of ids taken"). Where
    a body or a version forces another order, it wins, and the chain follows it: an id that comes out of turn
    costs one more request, a body in the wrong order is another body.
    """
    chains = _chains(claims)
    placing = _Placing(claims, _hard_edges(claims, chains))
    while placing.is_unfinished:
        placing.place_next()
    waits_for = tuple(tuple(sorted(before)) for before in placing.waits_for)
    return Ordering(tuple(placing.sequence), waits_for, chains)


class _Placing:
    """A sequence in the making.

    Operations that take no id are placed as early as possible, since takers may wait for them. A taker is
    placed only when nothing else is ready: then all takers that can come next are known, and the one with the
    smallest id is placed.
    """

    def __init__(self, claims: Sequence[Claim], waits_for: list[set[int]]) -> None:
        self.waits_for = waits_for
        self.sequence: list[int] = []
        self._claims = claims
        self._placed = [False] * len(claims)
        self._missing = [len(before) for before in waits_for]
        self._followers: list[list[int]] = [[] for _ in claims]
        self._ready: list[tuple[object, int]] = []
        self._takers: list[tuple[object, int]] = []
        self._last_taker: dict[Key, int] = {}
        for index, before in enumerate(waits_for):
            for earlier in before:
                self._followers[earlier].append(index)
        for index, count in enumerate(self._missing):
            if count == 0:
                self._admit(index)

    @property
    def is_unfinished(self) -> bool:
        return len(self.sequence) < len(self._claims)

    def place_next(self) -> None:
        if not self._ready and not self._takers:
            self._admit_stuck()
        _, index = heapq.heappop(self._ready or self._takers)
        if self._placed[index]:
            return
        self._placed[index] = True
        self._chain(index)
        self.sequence.append(index)
        for later in self._followers[index]:
            self._missing[later] -= 1
            if self._missing[later] == 0:
                self._admit(later)

    def _admit(self, index: int) -> None:
        claim = self._claims[index]
        if claim.take is None:
            heapq.heappush(self._ready, (claim.log_order, index))
        else:
            rank = (claim.take.segment, claim.take.last, claim.log_order)
            heapq.heappush(self._takers, (rank, index))

    def _admit_stuck(self) -> None:
        """Claims can contradict each other (an administrator may write to a committed version): then the
        log's own order decides, and what cannot be applied in it becomes a conflict."""
        left = (index for index, done in enumerate(self._placed) if not done)
        stuck = min(left, key=lambda index: self._claims[index].log_order)
        self.waits_for[stuck] = {before for before in self.waits_for[stuck] if self._placed[before]}
        self._missing[stuck] = 0
        self._admit(stuck)

    def _chain(self, index: int) -> None:
        """An operation that takes ids waits for the one that took ids of the same counter before it."""
        take = self._claims[index].take
        if take is not None:
            if take.counter in self._last_taker:
                self.waits_for[index].add(self._last_taker[take.counter])
            self._last_taker[take.counter] = index


def _chains(claims: Sequence[Claim]) -> dict[Key, tuple[int, ...]]:
    by_key: dict[Key, list[int]] = defaultdict(list)
    for index, claim in enumerate(claims):
        for key in claim.keys:
            by_key[key].append(index)
    return {
        key: tuple(sorted(indexes, key=lambda index: (claims[index].rank, claims[index].log_order)))
        if len(indexes) > 1
        else tuple(indexes)
        for key, indexes in by_key.items()
    }


def _hard_edges(claims: Sequence[Claim], chains: dict[Key, tuple[int, ...]]) -> list[set[int]]:
    waits_for: list[set[int]] = [set() for _ in claims]
    for chain in chains.values():
        for earlier, later in pairwise(chain):
            waits_for[later].add(earlier)
    creator: dict[Key, int] = {}
    ender: dict[Key, int] = {}
    insiders: dict[Key, list[int]] = defaultdict(list)
    for index, claim in enumerate(claims):
        if claim.creates is not None:
            creator.setdefault(claim.creates, index)
        if claim.ends is not None:
            ender.setdefault(claim.ends, index)
        if claim.inside is not None:
            insiders[claim.inside].append(index)
    for index, claim in enumerate(claims):
        for key in (*claim.needs, *((claim.inside,) if claim.inside else ())):
            if key in creator and creator[key] != index:
                waits_for[index].add(creator[key])
        if claim.after_end in ender:
            waits_for[index].add(ender[claim.after_end])
    for key, end in ender.items():
        waits_for[end].update(index for index in insiders[key] if index != end)
    return waits_for
