"""Merges that one request can repeat, and what a copy's own history then says of them.

The bodies end the same in any case. What differs is the copy's list of mutations (`GET DATA/mutations`):
there a combined merge stands once, with the user, app and target of the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from dvidsync_dagster.datatypes.labelmap.events import Merge

MAX_LABELS = 20_000
"""Labels in one merge. The destination announces it in one message too, which must stay below 980 kB."""

History = Literal["by_user", "condensed", "exact"]
"""Which merges are combined: those of one user, those of anybody, or none."""


def joins(merge: Merge, open_steps: Sequence[Sequence[Any]], history: History) -> list[int]:
    """Which open steps a merge can be one request with.

    ``[T, a]``, ``[T, b]`` are ``[T, a, b]``; ``[B, d]``, ``[A, B]`` are ``[A, B, d]``. The steps are open:
    nothing else has touched their bodies since.
    """
    if history == "exact":
        return []
    room = MAX_LABELS - len(merge.labels)
    found = []
    for position, members in enumerate(open_steps):
        last = members[-1]
        if not isinstance(last, Merge) or (history == "by_user" and last.user != merge.user):
            continue
        size = sum(len(member.labels) for member in members)
        if size <= room and (last.target == merge.target or last.target in merge.labels):
            room -= size
            found.append(position)
    return found


def combined(members: Sequence[Merge]) -> Merge:
    """One merge for all members: the target, user and tag of the last."""
    last = max(members, key=lambda member: member.rank)
    labels = dict.fromkeys(label for member in members for label in member.labels)
    return replace(last, labels=tuple(sorted(labels)))
