"""How far a run is, and how long it may still take."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from dvidsync_dagster.outgoing_text import counted


@dataclass(frozen=True, slots=True)
class Progress:
    """After a chunk.

    Args:
        records, operations: of all chunks so far.
        seconds: since the run began.
        left: records that are not applied yet.
    """

    records: int
    operations: int
    seconds: float
    left: int

    @property
    def rate(self) -> float:
        """Records a second; 0 where that cannot be told yet."""
        return self.records / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """If it goes on so; None where nothing was read yet."""
        return self.left / self.rate if self.rate else None

    def __str__(self) -> str:
        so_far = (
            f"so far {counted(self.records, 'record')} and {counted(self.operations, 'operation')} in "
            f"{_text(self.seconds)}, {self.rate:,.0f} records a second"
        )
        if not self.left or self.seconds_left is None:
            return so_far
        return f"{so_far}; {counted(self.left, 'record')} left, about {_text(self.seconds_left)}"


def _text(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
