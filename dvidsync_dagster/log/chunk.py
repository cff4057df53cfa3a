"""A chunk of the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from operator import eq

from dvidsync_dagster.log.ahead import NOTHING_AHEAD, AheadOfClock
from dvidsync_dagster.log.record import Record


@dataclass(frozen=True, slots=True)
class LogChunk:
    """A slice of the log. All its records are in log order: by key, topic, partition and offset.

    Attributes:
        records: what this chunk releases.
        malformed: the records of this slice whose key or value no DVID server writes; each says what was
            `found`.
        lookahead: what comes next, as far as it was read along; after the last chunk, all that lies past the
            cut. These records are not released, and none is malformed.
        horizon: every record with a key up to this one has been released, save those that come late.
        last: nothing follows.
        duplicates: records that Kafka holds twice (topic, key and value the same); one of each is in
            `records`.
        empty: records without key and value, which a producer leaves behind (Sarama does where a topic is new
            or has another leader); read since the chunk before.
        behind: records up to the log's end, as it was when reading began, that are not released.
        ahead: those of them that wait as their keys are ahead of the source's clock, as far as was read.
        went_back: between these keys (ns since 1970) records are in another order than in their partitions,
            as far as was read: the source's clock went back. None if it did not.
    """

    records: Sequence[Record]
    malformed: Sequence[Record]
    lookahead: Sequence[Record]
    horizon: int
    last: bool
    duplicates: int
    behind: int
    empty: int = 0
    ahead: AheadOfClock = NOTHING_AHEAD
    went_back: tuple[int, int] | None = None


def without_duplicates(records: Sequence[Record]) -> Sequence[Record]:
    """The records without those that repeat an earlier one's topic, key and value.

    A producer that retries writes a message twice. Both have the same key, so they come in one chunk.
    """
    keys = [record.key_ns for record in records]
    if not any(map(eq, keys, islice(keys, 1, None))):
        return records
    kept: list[Record] = []
    seen: set[tuple[str, bytes | None]] | None = None  # of the key at hand, once it comes again
    for record in records:
        if not kept or record.key_ns != kept[-1].key_ns:
            seen = None
        elif record.found is None:
            if seen is None:
                seen = _contents_of_last_key(kept)
            if _content(record) in seen:
                continue
            seen.add(_content(record))
        kept.append(record)
    return kept


def _contents_of_last_key(records: Sequence[Record]) -> set[tuple[str, bytes | None]]:
    last = records[-1].key_ns
    same_key = takewhile(lambda record: record.key_ns == last, reversed(records))
    return {_content(record) for record in same_key if record.found is None}


def _content(record: Record) -> tuple[str, bytes | None]:
    return record.topic, record.value
