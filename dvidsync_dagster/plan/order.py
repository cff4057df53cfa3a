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

    Takers of label ids are chained by the ids that they took. Where a body or a version forces another order,
    it wins, and the chain follows it: an id that comes out of turn costs one more request, a body in the
    wrong order costs the truth.
    """
    chains = _chains(claims)
    waits_for = _hard_edges(claims, chains)
    followers: list[list[int]] = [[] for _ in claims]
    missing = [len(before) for before in waits_for]
    for index, before in enumerate(waits_for):
        for earlier in before:
            followers[earlier].append(index)

    # Everything that takes no id goes as early as it can, so that of the takers which could come next
    # as many as possible stand ready, and the smallest id is the right one.
    ready: list[tuple[object, int]] = []
    takers: list[tuple[object, int]] = []

    def admit(index: int) -> None:
        claim = claims[index]
        if claim.take is None:
            heapq.heappush(ready, (claim.log_order, index))
        else:
            take = claim.take
            heapq.heappush(takers, ((take.segment, take.last, claim.log_order), index))

    for index, count in enumerate(missing):
        if count == 0:
            admit(index)
    sequence: list[int] = []
    last_taker: dict[Key, int] = {}
    placed = [False] * len(claims)
    while len(sequence) < len(claims):
        if not ready and not takers:
            # Claims can contradict each other (an administrator may write to a committed version): then the
            # log's own order decides, and what cannot be applied in it becomes a conflict.
            stuck = min(
                (index for index, done in enumerate(placed) if not done),
                key=lambda index: claims[index].log_order,
            )
            waits_for[stuck] = {before for before in waits_for[stuck] if placed[before]}
            missing[stuck] = 0
            admit(stuck)
        _, index = heapq.heappop(ready if ready else takers)
        if placed[index]:
            continue
        placed[index] = True
        take = claims[index].take
        if take is not None:
            if take.counter in last_taker:
                waits_for[index].add(last_taker[take.counter])
            last_taker[take.counter] = index
        sequence.append(index)
        for later in followers[index]:
            missing[later] -= 1
            if missing[later] == 0:
                admit(later)
    return Ordering(tuple(sequence), tuple(tuple(sorted(before)) for before in waits_for), chains)


def _chains(claims: Sequence[Claim]) -> dict[Key, tuple[int, ...]]:
    by_key: dict[Key, list[int]] = defaultdict(list)
    for index, claim in enumerate(claims):
        for key in claim.keys:
            by_key[key].append(index)
    return {
        key: tuple(sorted(indexes, key=lambda index: (claims[index].rank, claims[index].log_order)))
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
