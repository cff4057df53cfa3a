"""What became of a command."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """One part of a command, by its position, that the destination refused, and why."""

    part: int
    found: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command: how many of its parts were present already, and which were refused."""

    already_there: int = 0
    refusals: tuple[Refusal, ...] = ()


DONE = Outcome()
ALREADY_THERE = Outcome(already_there=1)


def refused(found: str, parts: int = 1) -> Outcome:
    """All parts of a command were refused."""
    return Outcome(refusals=tuple(Refusal(part, found) for part in range(parts)))
