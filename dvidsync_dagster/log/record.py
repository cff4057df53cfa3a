"""One record of the mutation log, as it stands in Kafka."""

from __future__ import annotations

from dataclasses import dataclass

from dvidsync_dagster.events.origin import Origin


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its origin and its bytes."""

    origin: Origin
    value: bytes


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A record as it stands in Kafka, whole.

    The key of its `origin` is the record's own where that can be read, else Kafka's time of it. `timestamp`
    is Kafka's, in milliseconds since 1970, or -1.
    """

    origin: Origin
    key: bytes | None
    value: bytes | None
    timestamp: int = -1
    headers: tuple[tuple[str, bytes | None], ...] = ()


@dataclass(frozen=True, slots=True)
class MalformedRecord:
    """A record whose key or value is not what a DVID server writes, and what is wrong with it."""

    raw: RawRecord
    found: str

    @property
    def origin(self) -> Origin:
        return self.raw.origin
