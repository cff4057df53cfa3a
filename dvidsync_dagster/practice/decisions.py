"""What people decided in a segmentation, and whether others decided the same.

Nothing but partitions of supervoxels is compared: how they were in bodies at the beginning, how one side left
them, and how the other side has them. So it does not matter by how many operations something was done, or
whether it was undone on the way.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

BodyOf = Mapping[int, int]
"""The body of each supervoxel; one that is not there is left out, or has 0."""

Agreed = Literal["yes", "partly", "no"]


@dataclass(frozen=True, slots=True)
class Decision:
    """One merge or cleave, as it shows at the end.

    Args:
        kind: what was done.
        body: the body that it led to: that of the merge, or the one that was cleaved off.
        other: the body of the beginning that was merged into it, or that it was cleaved from.
        supervoxels: how many were moved.
        agreed: whether the other side has it so as well; "partly" if only for some of the supervoxels.
    """

    kind: Literal["merge", "cleave"]
    body: int
    other: int
    supervoxels: int
    agreed: Agreed


def decisions(begin: BodyOf, end: BodyOf, other_side: BodyOf) -> Iterator[Decision]:
    """What led from the beginning to the end: merges first, each by the bodies.

    Supervoxels that are not in all three, as they were split, say nothing.
    """
    shared = sorted(each for each in begin if begin[each] and end.get(each) and other_side.get(each))
    yield from _decisions("merge", shared, end, begin, other_side)
    yield from _decisions("cleave", shared, begin, end, other_side)


def not_compared(begin: BodyOf, end: BodyOf, other_side: BodyOf) -> int:
    """How many supervoxels were split on some side, so that nothing is said of them."""
    every = begin.keys() | end.keys() | other_side.keys()
    return sum(not (begin.get(each) and end.get(each) and other_side.get(each)) for each in every)


def _decisions(
    kind: Literal["merge", "cleave"],
    supervoxels: Sequence[int],
    whole: BodyOf,
    parts: BodyOf,
    other_side: BodyOf,
) -> Iterator[Decision]:
    """A body of `whole` with several parts: each but its main part was merged to it, or cleaved off."""
    inside: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for supervoxel in supervoxels:
        inside[whole[supervoxel]][parts[supervoxel]].append(supervoxel)
    for body, by_part in sorted(inside.items()):
        if len(by_part) < 2:
            continue
        main = body if body in by_part else max(by_part, key=lambda part: (len(by_part[part]), -part))
        theirs = {other_side[each] for each in by_part[main]}
        for part, moved in sorted(by_part.items()):
            if part != main:
                together = sum(other_side[each] in theirs for each in moved)
                same = together if kind == "merge" else len(moved) - together
                agreed: Agreed = "yes" if same == len(moved) else "partly" if same else "no"
                led_to, came_from = (body, part) if kind == "merge" else (part, body)
                yield Decision(kind, led_to, came_from, len(moved), agreed)


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """A decision with who made it.

    Args:
        instance: the labelmap.
        side: "practice", or "source" for what only the source has.
        user: who changed the body last on that side.
        decision: itself.
    """

    instance: str
    side: Literal["practice", "source"]
    user: str
    decision: Decision

    COLUMNS = ("instance", "side", "user", "kind", "body", "other", "supervoxels", "agreed")

    def as_json(self) -> dict[str, str | int]:
        """By column."""
        decision = self.decision
        return {
            "instance": self.instance,
            "side": self.side,
            "user": self.user,
            "kind": decision.kind,
            "body": decision.body,
            "other": decision.other,
            "supervoxels": decision.supervoxels,
            "agreed": decision.agreed,
        }


USER_COLUMNS = (
    "user",
    *(kind + end for kind in ("merges", "cleaves") for end in ("", "_yes", "_partly", "_no")),
)


def scores(rows: Iterable[ScoreRow]) -> list[dict[str, str | int]]:
    """By user: how many merges and cleaves of practice, and to how many the source agrees."""
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        if row.side == "practice":
            kind = f"{row.decision.kind}s"
            counted[row.user][kind] += 1
            counted[row.user][f"{kind}_{row.decision.agreed}"] += 1
    return [
        {"user": user, **{column: counts[column] for column in USER_COLUMNS[1:]}}
        for user, counts in sorted(counted.items())
    ]
