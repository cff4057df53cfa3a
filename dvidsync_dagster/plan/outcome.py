"""What became of a command."""

from __future__ import annotations

from dataclasses import dataclass

from dvidsync_dagster.errors import RefusalReason, RequestRefused


@dataclass(frozen=True, slots=True)
class Refusal:
    """One part of a command, by its position, that the destination refused, and why.

    Args:
        found: for people.
        reason: what it means.
        touched: what of its items it is about, as the conflict table names them; empty for all.
        depends_on: places in the log of what was left out before, and that it depends on.
    """

    part: int
    found: str
    reason: RefusalReason = RefusalReason.OTHER
    depends_on: tuple[str, ...] = ()
    touched: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command.

    Args:
        already_there: how many of its parts were present already.
        refusals: those that were refused.
        waits: it was not tried, as it must wait until what was refused before is resolved.
    """

    already_there: int = 0
    refusals: tuple[Refusal, ...] = ()
    waits: bool = False


DONE = Outcome()
ALREADY_THERE = Outcome(already_there=1)
WAITS = Outcome(waits=True)


def refused(found: str, parts: int = 1, reason: RefusalReason = RefusalReason.OTHER) -> Outcome:
    """All parts of a command were refused."""
    return Outcome(refusals=tuple(Refusal(part, found, reason) for part in range(parts)))


def refused_by(refusal: RequestRefused) -> Outcome:
    """A command of one part was refused by the server."""
    return Outcome(refusals=(refusal_of(0, refusal),))


def refusal_of(part: int, refusal: RequestRefused) -> Refusal:
    """What the server said of a part."""
    return Refusal(part, refusal.text, refusal.reason)
