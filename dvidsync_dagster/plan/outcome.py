"""What became of a step."""

from __future__ import annotations

from dataclasses import dataclass

from dvidsync_dagster.errors import RefusalReason, RequestRefused


@dataclass(frozen=True, slots=True)
class Refusal:
    """One event (by position among the step's members) that the destination refused, and why.

    Args:
        found: for people.
        reason: what it means.
    """

    member: int
    found: str
    reason: RefusalReason = RefusalReason.OTHER


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a step: how many of its members were there already, and which were refused."""

    already_there: int = 0
    refusals: tuple[Refusal, ...] = ()


DONE = Outcome()
ALREADY_THERE = Outcome(already_there=1)


def refused(found: str) -> Outcome:
    """Refused for what we found ourselves."""
    return Outcome(refusals=(Refusal(0, found),))


def refused_by(refusal: RequestRefused) -> Outcome:
    """Refused by the server."""
    return Outcome(refusals=(refusal_of(0, refusal),))


def refusal_of(member: int, refusal: RequestRefused) -> Refusal:
    """What the server said of a member."""
    return Refusal(member, refusal.text, refusal.reason)
