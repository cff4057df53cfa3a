"""Merges that one request can repeat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from dvidsync_dagster.datatypes.labelmap.messages import Merge

MAX_LABELS = 20_000
"""Labels in one merge. The destination announces it in one message too, which must stay below 980 kB."""


def joins(merge: Merge, open_steps: Sequence[Sequence[Any]]) -> list[int]:
    """Which open steps a merge can be one request with.

    ``[T, a]``, ``[T, b]`` are ``[T, a, b]``; ``[B, d]``, ``[A, B]`` are ``[A, B, d]``. The steps are open:
    nothing else has touched their bodies since.
    """
    room = MAX_LABELS - len(merge.labels)
    found = []
    for position, members in enumerate(open_steps):
        last = members[-1]
        if not isinstance(last, Merge):
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
