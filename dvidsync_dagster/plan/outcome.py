"""What became of a command."""

from __future__ import annotations

from dataclasses import dataclass

from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.refusal_reason import RefusalReason


@dataclass(frozen=True, slots=True)
class Refusal:
    """One part of a command, by its position, that the destination refused, and why.

    Args:
        found: for people.
        reason: what it means.
        cause: the place of the record on which it depends, where that is known: its event was left out.
    """

    part: int
    found: str
    reason: RefusalReason = RefusalReason.OTHER
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command: how many of its parts were present already, and which were refused."""

    present: int = 0
    refusals: tuple[Refusal, ...] = ()


DONE = Outcome()
PRESENT = Outcome(present=1)
DEPENDS = "it depends on what was refused before it"
"""What is found of a part that is not tried, as one before it on the same items was refused."""


def refused(found: str, parts: int = 1, reason: RefusalReason = RefusalReason.OTHER) -> Outcome:
    """All parts of a command were refused."""
    return Outcome(refusals=tuple(Refusal(part, found, reason) for part in range(parts)))


def refused_by(refusal: RequestRefused) -> Outcome:
    """A command of one part was refused by the server."""
    return Outcome(refusals=(refusal_of(0, refusal),))


def refusal_of(part: int, refusal: RequestRefused) -> Refusal:
    """What the server said of a part."""
    return Refusal(part, refusal.text, refusal.reason)
