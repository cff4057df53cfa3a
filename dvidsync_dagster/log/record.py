"""One record of the mutation log, as it stands in Kafka."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """Where a record stands, ordered as the log is: by key, then topic, partition and offset.

    `key` is the time at which the server made the message, in nanoseconds since 1970 (the record's key).
    """

    key: int
    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic} partition {self.partition} offset {self.offset} ({key_text(self.key)})"


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


def key_text(key: int) -> str:
    """A key (nanoseconds since 1970) as UTC text with microseconds, for messages."""
    return datetime.fromtimestamp(key / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
