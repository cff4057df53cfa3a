"""Merging the partitions of a log into one sequence by key, in bounded memory. Pure, no Kafka.

A partition is only nearly in key order. A record may leave once every partition has been read `reorder_ns`
past its key, or to its end.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dvidsync_dagster.events.origin import Origin
from dvidsync_dagster.log.record import RawRecord

Place = tuple[str, int]
"""Topic and partition."""
Headers = Sequence[tuple[str, bytes | None]]

LOOKAHEAD = 1000

_END_OF_TIME = 1 << 63


class Entry(NamedTuple):
    """A record in the merge. As a tuple it sorts as the log does: by key, topic, partition and offset.

    `found` says what is wrong with a malformed one; a missing `value` belongs to those alone. `raw_key` is
    the record's key where that is not just the digits of `key`. `timestamp` is Kafka's, in milliseconds
    since 1970, or -1.
    """

    key: int
    topic: str
    partition: int
    offset: int
    value: bytes | None
    found: str | None = None
    raw_key: bytes | None = None
    timestamp: int = -1
    headers: Headers = ()

    def raw(self) -> RawRecord:
        """The record whole."""
        key = self.raw_key
        if key is None and self.found is None:
            key = str(self.key).encode()
        return RawRecord(
            Origin(self.key, self.topic, self.partition, self.offset),
            key,
            self.value,
            self.timestamp,
            tuple((str(name), value) for name, value in self.headers),
        )


class _Partition:
    """What was read of one partition and may not leave yet."""

    __slots__ = ("finished", "furthest", "pending", "size")

    def __init__(self) -> None:
        self.pending: list[Entry] = []
        self.size = 0
        self.furthest = -1
        self.finished = False

    def take(self, last_key: int) -> tuple[list[Entry], int]:
        """Remove what has a key up to `last_key`: entries in order, and their size in bytes."""
        self.pending.sort()  # nearly sorted already, so this is linear
        count = bisect_left(self.pending, (last_key + 1,))
        taken = self.pending[:count]
        del self.pending[:count]
        size = _size(taken)
        self.size -= size
        return taken, size


class KeyMerge:
    """Entries of many partitions in, chunks in key order out.

    Args:
        places: the partitions.
        cut_key: entries with a later key stay inside, for `lookahead`.
        reorder_ns: how far a partition may be out of key order, in nanoseconds. An entry that comes later
            than that is not lost: it leaves with the next chunk.
        chunk_records, chunk_bytes: a chunk is full when it reaches either. Entries of one key stay together.
    """

    def __init__(
        self, places: Iterable[Place], *, cut_key: int, reorder_ns: int, chunk_records: int, chunk_bytes: int
    ) -> None:
        self._partitions = {place: _Partition() for place in places}
        self._cut_key = cut_key
        self._reorder_ns = reorder_ns
        self._chunk_records = chunk_records
        self._chunk_bytes = chunk_bytes
        # Each partition may run ahead of the slowest by its share of two chunks.
        shares = max(1, len(self._partitions))
        self._share_records = max(1, 2 * chunk_records // shares)
        self._share_bytes = max(1, 2 * chunk_bytes // shares)
        self._waiting: set[Place] = set()
        self._set_aside: list[Entry] = []
        self._set_aside_size = 0
        self._ready: list[Entry] = []
        self._ready_size = 0
        self._horizon = -1

    @property
    def horizon(self) -> int:
        """Every entry with a key up to this one has left, save those that come late."""
        return self._horizon

    def read(self, place: Place, entries: list[Entry], furthest: int) -> None:
        """Take in entries of a partition; `furthest` is the highest key read from it just now, or -1."""
        partition = self._partitions[place]
        partition.pending += entries
        partition.size += _size(entries)
        partition.furthest = max(partition.furthest, furthest)

    def set_aside(self, entries: list[Entry]) -> None:
        """Keep entries past the cut for the last `lookahead` alone, as far as a chunk holds: they say nothing
        of how far a partition was read."""
        for entry in entries:
            if len(self._set_aside) < self._chunk_records and self._set_aside_size < self._chunk_bytes:
                self._set_aside.append(entry)
                self._set_aside_size += _size([entry])

    def finish(self, place: Place) -> None:
        """Nothing more comes from this partition."""
        self._partitions[place].finished = True

    def is_past_cut(self, place: Place) -> bool:
        """Whether a partition has been read so far that nothing up to the cut is expected of it any more."""
        return self._partitions[place].furthest - self._reorder_ns > self._cut_key

    @property
    def all_finished(self) -> bool:
        return all(partition.finished for partition in self._partitions.values())

    def ahead(self) -> set[Place]:
        """The partitions that must not be read on before the slowest one has caught up.

        One that was told to wait goes on when half of its share has left: to wait costs what was fetched.
        """
        slowest = self._slowest()
        for place, partition in self._partitions.items():
            share = 0.5 if place in self._waiting else 1.0
            fills_share = (
                len(partition.pending) >= share * self._share_records
                or partition.size >= share * self._share_bytes
            )
            if fills_share and partition.furthest > slowest and not partition.finished:
                self._waiting.add(place)
            else:
                self._waiting.discard(place)
        return set(self._waiting)

    def chunk(self) -> list[Entry] | None:
        """The next chunk in key order, or None if none is full. Once all is finished, the rest, if any."""
        limit = min(self._slowest() - self._reorder_ns, self._cut_key)
        if self.all_finished:
            limit = self._cut_key
        elif not self._may_be_full():
            return None
        self._make_ready(limit)
        if not self._ready:
            self._horizon = max(self._horizon, limit)
            return None
        if not self.all_finished and not self._is_full():
            return None
        count = self._chunk_end()
        taken, self._ready = self._ready[:count], self._ready[count:]
        self._ready_size -= _size(taken)
        self._horizon = max(self._horizon, taken[-1].key if self._ready else limit)
        return taken

    @property
    def exhausted(self) -> bool:
        """Whether the chunk just taken was the last one."""
        return self.all_finished and not self._ready

    def lookahead(self) -> list[Entry]:
        """The entries that come after the chunk just taken, in order. They stay inside.

        After the last chunk all that were read past the cut, else the next `LOOKAHEAD`.
        """
        inside = (entry for partition in self._partitions.values() for entry in partition.pending)
        if self.exhausted:
            return sorted([*self._set_aside, *(entry for entry in inside if entry.key > self._cut_key)])
        after = self._ready[:LOOKAHEAD]
        return [*after, *heapq.nsmallest(LOOKAHEAD - len(after), inside)]

    def _slowest(self) -> int:
        """The highest key up to which every unfinished partition was read."""
        return min((p.furthest for p in self._partitions.values() if not p.finished), default=_END_OF_TIME)

    def _may_be_full(self) -> bool:
        records = len(self._ready) + sum(len(p.pending) for p in self._partitions.values())
        size = self._ready_size + sum(p.size for p in self._partitions.values())
        return records >= self._chunk_records or size >= self._chunk_bytes

    def _is_full(self) -> bool:
        return len(self._ready) >= self._chunk_records or self._ready_size >= self._chunk_bytes

    def _make_ready(self, limit: int) -> None:
        before = len(self._ready)
        for partition in self._partitions.values():
            taken, size = partition.take(limit)
            self._ready += taken
            self._ready_size += size
        if len(self._ready) > before:
            self._ready.sort()  # sorted runs, which the sort merges

    def _chunk_end(self) -> int:
        ready, size = self._ready, 0
        for count, entry in enumerate(ready, 1):
            size += len(entry.value or b"") if entry.raw_key is None and not entry.headers else _size([entry])
            is_full = count >= self._chunk_records or size >= self._chunk_bytes
            if is_full and (count == len(ready) or ready[count].key != entry.key):
                return count
        return len(ready)


def _size(entries: Iterable[Entry]) -> int:
    size = 0
    for _, _, _, _, value, _, raw_key, _, headers in entries:  # no call for each: there are millions
        if value is not None:
            size += len(value)
        if raw_key is not None:
            size += len(raw_key)
        if headers:
            size += sum(len(name) + len(content or b"") for name, content in headers)
    return size
