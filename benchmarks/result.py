"""What a workload comes to: the ways in which the same work was done, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Self

from benchmarks.measuring import Measured

REQUESTS = "requests"
"""The name under which a piece of work tells how many requests it sent."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to do the work: medians over the repeats.

    Args:
        size: how much of the work; less than the workload's where all of it would take hours.
        requests: that were sent to what it was brought to; None where nothing is sent.
        seconds, processor_seconds: by the clock, and of the processor in the process that did it.
        memory_mb: the most that the process held in any repeat.
        told: other numbers, by what they count.
    """

    name: str
    size: int
    seconds: float
    processor_seconds: float
    memory_mb: float
    requests: int | None = None
    told: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, size: int, runs: Sequence[Measured]) -> Self:
        """That of some repeats."""
        told = {key: median(run.told.get(key, 0) for run in runs) for key in runs[0].told}
        requests = told.pop(REQUESTS, None)
        return cls(
            name,
            size,
            median(run.seconds for run in runs),
            median(run.processor_seconds for run in runs),
            max(run.memory_mb for run in runs),
            None if requests is None else round(requests),
            told,
        )


@dataclass(frozen=True, slots=True)
class Result:
    """One workload of one size.

    Args:
        size: how much work.
        ways: the first one is what the others are held against.
    """

    workload: str
    size: int
    ways: Sequence[Way]

    def way(self, name: str) -> Way:
        """The one of that name."""
        return next(way for way in self.ways if way.name == name)

    def times_as_fast(self, way: Way) -> float:
        """How often it does what the first way does once, in the same time."""
        first = self.ways[0]
        return first.seconds / first.size / (way.seconds / way.size)
