"""Which mutation ids of the source the log has told of, and which it has not.

Event ids are one sequence over a repo. Label operations take one each, and so do writes of voxels, which
nobody announces, and merges that are refused. A server that is started again goes on at the next stride. So
an id that nobody told of is a hint at a lost message, and no proof. Pure; memory grows with the gaps alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

STRIDE = 100
"""A server saves its ids so far ahead, and goes on there when it is started again."""
PATIENCE_NS = 120_000_000_000
"""How long a message may be behind the next one's (ns of the source's clock)."""
MOST_GAPS = 1000


class Gap(NamedTuple):
    """Ids from `first` to `last` that no message told of; between the messages with these keys."""

    first: int
    last: int
    after_key_ns: int
    before_key_ns: int

    @property
    def size(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class HeardIds:
    """As far as the log was read.

    Args:
        following: the id after the highest that was heard of; 0 before the first.
        key_ns: when that was announced (ns since 1970).
        gaps: ids below it that have not been heard of, ascending, and may yet be.
        waiting: ids of operations that wait for one of these.
    """

    following: int = 0
    key_ns: int = 0
    gaps: tuple[Gap, ...] = ()
    waiting: tuple[int, ...] = ()

    def with_ids(self, ids: Iterable[tuple[int, int]]) -> HeardIds:
        """With more messages: pairs of mutation id and key (ns), in any order."""
        following, last_ns, gaps = self.following, self.key_ns, self.gaps
        for mutation_id, key_ns in sorted(set(ids)):
            if mutation_id < following:
                gaps = tuple(part for gap in gaps for part in _without(gap, mutation_id))
                continue
            if following and mutation_id > following:
                gap = Gap(following, mutation_id - 1, last_ns, key_ns)
                if mutation_id % STRIDE or gap.size >= STRIDE:
                    gaps = (*gaps, gap)
            following, last_ns = mutation_id + 1, key_ns
        return replace(self, following=following, key_ns=last_ns, gaps=gaps)

    def settled(self, horizon: int) -> tuple[HeardIds, tuple[Gap, ...]]:
        """What is given up, if the log was read up to `horizon` (ns): nothing tells of those ids anymore."""
        over = [gap for gap in self.gaps if gap.before_key_ns < horizon - PATIENCE_NS]
        over = list(self.gaps[: max(len(over), len(self.gaps) - MOST_GAPS)])
        return replace(self, gaps=self.gaps[len(over) :]), tuple(over)

    def is_missing_before(self, mutation_id: int) -> bool:
        """Whether an earlier id may still be heard of."""
        return any(gap.first < mutation_id for gap in self.gaps)


def _without(gap: Gap, mutation_id: int) -> list[Gap]:
    if not gap.first <= mutation_id <= gap.last:
        return [gap]
    parts = (gap._replace(last=mutation_id - 1), gap._replace(first=mutation_id + 1))
    return [part for part in parts if part.size > 0]
