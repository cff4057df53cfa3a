"""Where a destination without a checkpoint starts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, field_validator

from dvidsync_dagster.config.days import check_day
from dvidsync_dagster.config.fields import Part, WrongValue, word_or_parts


class StartTime(Part):
    """A start at a time, at or before the moment at which the copy was made."""

    time: datetime = Field(description="a time with its zone, such as 2026-01-31T00:00:00Z")

    @field_validator("time", mode="before")
    @classmethod
    def _parse(cls, time: object) -> object:
        if isinstance(time, str):
            try:
                time = datetime.fromisoformat(time)
            except ValueError:
                raise WrongValue("is not a time", "Write it such as 2026-01-31T00:00:00Z.") from None
        if not isinstance(time, datetime) or time.tzinfo is None:
            raise WrongValue("has no time of day or no time zone", "Write it such as 2026-01-31T00:00:00Z.")
        # As written, since the first and the last year may have no such time in UTC.
        check_day(time.date())
        return time.astimezone(UTC)

    @property
    def key_ns(self) -> int:
        """The time as a record key: nanoseconds since 1970."""
        seconds, micros = divmod(
            round((self.time - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1e6), 10**6
        )
        return seconds * 10**9 + micros * 1000


Start = (
    Annotated[
        Annotated[Literal["beginning", "now"], Tag("<word>")] | Annotated[StartTime, Tag("<parts>")],
        Discriminator(word_or_parts),
    ]
    | None
)

START_CHOICE = (
    "Set it to {time: ...} at or before the moment at which the copy was made (what the copy already holds "
    "is recognised and left out; this is the usual choice), to `beginning` (everything that the log still "
    "holds), or to `now` (only if the copy is made at this moment and nobody works on the source)."
)
