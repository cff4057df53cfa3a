"""A record of the mutation log, in the one form that it has from the broker to the checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dvidsync_dagster.events.origin import Origin

Partition = tuple[str, int]
"""A topic and the number of one of its partitions."""

Headers = Sequence[tuple[str, bytes | None]]


class Record(NamedTuple):
    """One record, whole. As a tuple it sorts as the log does: by key, topic, partition and offset.

    `key_ns` is the record's key (nanoseconds since 1970) where that can be read, else Kafka's time of it.
    `found` says what is wrong with a record that no DVID server writes; it is None for all others, and those
    have a `value`. `raw_key` is the key as it stands in Kafka, where that is not just the digits of `key_ns`.
    `timestamp` is Kafka's, in milliseconds since 1970, or -1.
    """

    key_ns: int
    topic: str
    partition: int
    offset: int
    value: bytes | None
    found: str | None = None
    raw_key: bytes | None = None
    timestamp: int = -1
    headers: Headers = ()

    @property
    def origin(self) -> Origin:
        return Origin(self.key_ns, self.topic, self.partition, self.offset)

    @property
    def key(self) -> bytes | None:
        """The key as it stands in Kafka."""
        if self.raw_key is None and self.found is None:
            return str(self.key_ns).encode()
        return self.raw_key
