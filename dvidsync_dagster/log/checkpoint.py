"""The checkpoint: how far a destination has followed the log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PartitionPosition:
    """`next` is the first offset that is not applied; `beyond` are the applied ones after it.

    `beyond` holds ranges (first, one past the last), ascending and apart: a cut by time is not one offset
    where a partition is not in key order.
    """

    next: int
    beyond: tuple[tuple[int, int], ...] = ()


Positions = Mapping[str, Mapping[int, PartitionPosition]]
"""By topic and partition."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a destination has followed the log.

    `epoch` counts the runs that owned the destination. `key` (nanoseconds since 1970) and `mutation_id` are
    the furthest that were applied. `clean` says that the run which wrote it ended in order: nothing was in
    flight afterwards. `era` is the key at which the source last began to count its mutation ids again
    (restored from a backup), or 0.
    """

    epoch: int
    positions: Positions = field(default_factory=dict)
    key: int = 0
    mutation_id: int = 0
    clean: bool = False
    era: int = 0
