"""A chunk of the log as a pandas frame."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
import pandas as pd

from dvidsync_dagster.events.origin import Origin
from dvidsync_dagster.log.ahead import NOTHING_AHEAD, AheadOfClock
from dvidsync_dagster.log.merge import Entry
from dvidsync_dagster.log.record import MalformedRecord, RawRecord, Record

COLUMNS = ("key", "topic", "partition", "offset", "value")


@dataclass(frozen=True)
class LogChunk:
    """A slice of the log.

    `frame` and `lookahead` have the columns key (int64, nanoseconds since 1970), topic (category), partition
    (int32), offset (int64) and value (object, bytes), sorted by key, topic, partition and offset.

    Attributes:
        frame: what this chunk releases.
        malformed: the records of this slice whose key or value no DVID server writes, in order.
        lookahead: what comes next, as far as it was read along; after the last chunk, all that lies past the
            cut. These records are not released.
        horizon: every record with a key up to this one has been released, save those that come late.
        last: nothing follows.
        duplicates: records that Kafka holds twice (topic, key and value the same); one of each is in `frame`.
        empty: records without key and value, which a producer leaves behind (Sarama does where a topic is new
            or has another leader); read since the chunk before.
        behind: records up to the log's end, as it was when reading began, that are not released.
        ahead: those of them that wait as their keys are ahead of the source's clock, as far as was read.
        entries: what was read of this slice; empty if it comes from the archive.
    """

    frame: pd.DataFrame
    malformed: tuple[MalformedRecord, ...]
    lookahead: pd.DataFrame
    horizon: int
    last: bool
    duplicates: int
    behind: int
    empty: int = 0
    ahead: AheadOfClock = NOTHING_AHEAD
    entries: Sequence[Entry] = ()

    def raw(self, wanted: Collection[Origin]) -> list[RawRecord]:
        """These records of the chunk, whole, in their order. Of the archive's, what that keeps."""
        places = {(origin.topic, origin.partition, origin.offset): origin for origin in wanted}
        found = {places[place]: entry.raw() for entry in self.entries if (place := _place(entry)) in places}
        missing = set(wanted) - found.keys()
        for record in self.records() if missing else ():
            if record.origin in missing:
                key = str(record.origin.key_ns).encode()
                found[record.origin] = RawRecord(record.origin, key, record.value)
        return [found[origin] for origin in wanted]

    def records(self) -> Iterator[Record]:
        """The rows of `frame`."""
        return _records(self.frame)

    def records_ahead(self) -> Iterator[Record]:
        """The rows of `lookahead`."""
        return _records(self.lookahead)


def _records(frame: pd.DataFrame) -> Iterator[Record]:
    columns = (frame[name].tolist() for name in COLUMNS)
    for key, topic, partition, offset, value in zip(*columns, strict=True):
        yield Record(Origin(key, topic, partition, offset), value)


def log_frame(entries: Sequence[Entry], topics: Sequence[str]) -> pd.DataFrame:
    """The frame of these entries, which are in order and well formed; `topics` are the categories."""
    codes = {topic: code for code, topic in enumerate(topics)}
    values = np.empty(len(entries), dtype=object)
    # Not `zip(*entries)`: thousands of iterators at a time keep the garbage collector busy.
    values[:] = [entry.value for entry in entries]
    return pd.DataFrame(
        {
            "key": np.array([entry.key for entry in entries], np.int64),
            "topic": pd.Categorical.from_codes(
                np.array([codes[entry.topic] for entry in entries], np.int32),
                categories=pd.Index(list(topics), dtype=object),
            ),
            "partition": np.array([entry.partition for entry in entries], np.int32),
            "offset": np.array([entry.offset for entry in entries], np.int64),
            "value": values,
        }
    )


def without_duplicates(entries: Iterable[Entry]) -> list[Entry]:
    """The entries without those that repeat an earlier one's topic, key and value.

    A producer that retries writes a message twice. Both have the same key, so they come in one chunk.
    """
    kept: list[Entry] = []
    seen: set[tuple[str, bytes | None]] | None = None  # of the key at hand, once it comes again
    for entry in entries:
        if not kept or entry.key != kept[-1].key:
            seen = None
        elif entry.found is None:
            if seen is None:
                same_key = takewhile(lambda other: other.key == entry.key, reversed(kept))  # noqa: B023
                seen = {_content(other) for other in same_key if other.found is None}
            if _content(entry) in seen:
                continue
            seen.add(_content(entry))
        kept.append(entry)
    return kept


def _content(entry: Entry) -> tuple[str, bytes | None]:
    return entry.topic, entry.value


def malformed(entry: Entry) -> MalformedRecord:
    """The record of an entry that `found` something wrong with."""
    return MalformedRecord(entry.raw(), entry.found or "")


def _place(entry: Entry) -> tuple[str, int, int]:
    return entry.topic, entry.partition, entry.offset
