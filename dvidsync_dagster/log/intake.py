"""Records as a consumer hands them over, and the same in the log's own form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from dvidsync_dagster.log.record import Headers, Partition, Record

LATEST_KEY = (1 << 63) - 1
_KEY_DIGITS = 19
_ZERO = ord("0")
_NS_PER_MS = 1_000_000
_new = tuple.__new__  # a named tuple's own call takes thrice as long


class KafkaRecord(Protocol):
    """What a consumer hands over. `timestamp` is in milliseconds since 1970, or -1."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


class Polled(NamedTuple):
    """Records of one partition, in offset order, and the offset after all that was read (holes included)."""

    partition: Partition
    records: Sequence[KafkaRecord]
    next_offset: int


def key_of(raw: bytes | None) -> int | None:
    """The time (ns since 1970) that a record's key says; None if it says none."""
    if raw is None or len(raw) > _KEY_DIGITS or not raw.isdigit():
        return None
    key = int(raw)
    return key if key <= LATEST_KEY else None


def log_records(partition: Partition, records: Sequence[KafkaRecord], cut_key: int) -> list[Record]:
    """Records of a partition in the log's own form, without those that have neither key nor value.

    Args:
        cut_key: the latest (ns since 1970) at which a record without a time of its own is placed.
    """
    topic, number = partition
    found: list[Record] = []
    for record in records:
        raw, value = record.key, record.value
        # As `key_of`, without a call for each: there are millions.
        if (
            raw
            and value is not None
            and raw[0] != _ZERO
            and len(raw) <= _KEY_DIGITS
            and raw.isdigit()
            and (key := int(raw)) <= LATEST_KEY
        ):
            # A list for each record that has no headers would be millions to keep alive.
            headers = tuple(record.headers) if record.headers else ()
            whole = (key, topic, number, record.offset, value, None, None, record.timestamp, headers)
            found.append(_new(Record, whole))
        elif raw or value:
            found.append(_odd(topic, number, record, cut_key))
    return found


def _odd(topic: str, number: int, record: KafkaRecord, cut_key: int) -> Record:
    """One whose key or value no DVID server writes, or whose key begins with a zero."""
    raw, value, timestamp = record.key, record.value, record.timestamp
    headers = tuple(record.headers)
    key, found = key_of(raw), None
    if key is None:
        found = "its key is missing"
        if raw is not None:
            found = f"its key {raw[:40]!r} is not a time in nanoseconds"
        # Without a time of its own it is placed by Kafka's, and never left behind the cut.
        key = min(max(timestamp, 0) * _NS_PER_MS, cut_key)
    elif value is None:
        found = "it has no value"
    return Record(key, topic, number, record.offset, value, found, raw, timestamp, headers)
