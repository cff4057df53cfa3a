"""The place of a record in the mutation log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple


class Origin(NamedTuple):
    """Where a record stands. As a tuple it sorts as the log does: by key, then topic, partition and offset.

    `key_ns` is the time at which the server made the message, in nanoseconds since 1970: the record's key.
    """

    key_ns: int
    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic} partition {self.partition} offset {self.offset} ({key_text(self.key_ns)})"


def key_text(key_ns: int) -> str:
    """A key (nanoseconds since 1970) as UTC text with microseconds, for messages."""
    return datetime.fromtimestamp(key_ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
