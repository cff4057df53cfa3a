"""What became of a step."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """One event (by position among the step's members) that the destination refused, and why."""

    member: int
    found: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a step: how many of its members were there already, and which were refused."""

    already_there: int = 0
    refusals: tuple[Refusal, ...] = ()


DONE = Outcome()
ALREADY_THERE = Outcome(already_there=1)


def refused(found: str) -> Outcome:
    return Outcome(refusals=(Refusal(0, found),))
