"""Which days a mutation log can tell of."""

from __future__ import annotations

from datetime import UTC, date, datetime

from dvidsync_dagster.config.fields import WrongValue

FIRST_DAY = date(2017, 1, 1)
"""No DVID server logged to Kafka before."""
LAST_DAY = date(2200, 1, 1)
"""A record's key counts nanoseconds since 1970 in 8 bytes, which end in 2262."""


def today() -> date:
    """The day of this moment, in UTC."""
    return datetime.now(UTC).date()


def check_day(day: date) -> None:
    """Check that a mutation log can tell of a day.

    Raises:
        WrongValue: it cannot.
    """
    if not FIRST_DAY <= day < LAST_DAY:
        side = "before any mutation log" if day < FIRST_DAY else "too far in the future"
        raise WrongValue(f"is {side}", f"Use {FIRST_DAY} or later.")
