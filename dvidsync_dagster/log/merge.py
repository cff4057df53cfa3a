"""Merging the partitions of a log into one sequence by key, in bounded memory. Pure, no Kafka.

A partition is only nearly in key order. A record may leave once every partition has been read `reorder_ns`
past its key, or to its end.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from operator import itemgetter

from dvidsync_dagster.log.record import Partition, Record

LOOKAHEAD = 1000

_END_OF_TIME = 1 << 63


class _Unreleased:
    """What was read of one partition and may not leave yet."""

    __slots__ = ("finished", "furthest", "pending", "size")

    def __init__(self) -> None:
        self.pending: list[Record] = []
        self.size = 0
        self.furthest = -1
        self.finished = False

    def take(self, last_key: int) -> tuple[list[Record], int]:
        """Remove what has a key up to `last_key`: records in order, and their size in bytes."""
        # Nearly sorted already, so this is linear. Records of one key stay in the order of their offsets.
        self.pending.sort(key=_KEY)
        count = bisect_left(self.pending, (last_key + 1,))
        taken, self.pending = self.pending[:count], self.pending[count:]
        size = _size_of_taken(taken, self.pending, self.size)
        self.size -= size
        return taken, size


class KeyMerge:
    """Records of many partitions in, chunks in key order out.

    Args:
        partitions: all that are read.
        cut_key: records with a later key stay inside, for `lookahead`.
        reorder_ns: how far a partition may be out of key order, in nanoseconds. A record that comes later
            than that is not lost: it leaves with the next chunk.
        chunk_records, chunk_bytes: a chunk is full when it reaches either. Records of one key stay together.
    """

    def __init__(
        self,
        partitions: Iterable[Partition],
        *,
        cut_key: int,
        reorder_ns: int,
        chunk_records: int,
        chunk_bytes: int,
    ) -> None:
        self._unreleased = {partition: _Unreleased() for partition in partitions}
        self._cut_key = cut_key
        self._reorder_ns = reorder_ns
        self._chunk_records = chunk_records
        self._chunk_bytes = chunk_bytes
        # Each partition may run ahead of the slowest by its share of two chunks.
        shares = max(1, len(self._unreleased))
        self._share_records = max(1, 2 * chunk_records // shares)
        self._share_bytes = max(1, 2 * chunk_bytes // shares)
        self._waiting: set[Partition] = set()
        self._set_aside: list[Record] = []
        self._set_aside_size = 0
        self._ready: list[Record] = []
        self._ready_size = 0
        self._tried_with = 0
        self._tried_to = -1
        self._horizon = -1

    @property
    def horizon(self) -> int:
        """Every record with a key up to this one has left, save those that come late."""
        return self._horizon

    def read(self, partition: Partition, records: list[Record], furthest: int) -> None:
        """Take in records of a partition; `furthest` is the highest key read from it just now, or -1."""
        unreleased = self._unreleased[partition]
        unreleased.pending += records
        unreleased.size += _size(records)
        unreleased.furthest = max(unreleased.furthest, furthest)

    def set_aside(self, records: list[Record]) -> None:
        """Keep records past the cut for the last `lookahead` alone, as far as a chunk holds: they say nothing
        of how far a partition was read."""
        for record in records:
            if len(self._set_aside) < self._chunk_records and self._set_aside_size < self._chunk_bytes:
                self._set_aside.append(record)
                self._set_aside_size += _size([record])

    def finish(self, partition: Partition) -> None:
        """Nothing more comes from this partition."""
        self._unreleased[partition].finished = True

    def is_past_cut(self, partition: Partition) -> bool:
        """Whether a partition has been read so far that nothing up to the cut is expected of it any more."""
        return self._unreleased[partition].furthest - self._reorder_ns > self._cut_key

    @property
    def all_finished(self) -> bool:
        return all(unreleased.finished for unreleased in self._unreleased.values())

    def ahead(self) -> set[Partition]:
        """The partitions that must not be read on before the slowest one has caught up.

        A partition that waits goes on only when half of its share has left. To stop it more often would cost
        time: what was fetched of a partition is thrown away when it has to wait.
        """
        slowest = self._slowest()
        for partition, unreleased in self._unreleased.items():
            share = 0.5 if partition in self._waiting else 1.0
            fills_share = (
                len(unreleased.pending) >= share * self._share_records
                or unreleased.size >= share * self._share_bytes
            )
            if fills_share and unreleased.furthest > slowest and not unreleased.finished:
                self._waiting.add(partition)
            else:
                self._waiting.discard(partition)
        return set(self._waiting)

    def chunk(self) -> list[Record] | None:
        """The next chunk in key order, or None if none is full. Once all is finished, the rest, if any."""
        if not self.holds_chunk() or not self._ready:
            return None
        self._tried_with = 0
        count = self._chunk_end()
        taken, self._ready = self._ready[:count], self._ready[count:]
        self._ready_size -= _size_of_taken(taken, self._ready, self._ready_size)
        self._horizon = max(self._horizon, taken[-1].key_ns if self._ready else self._limit)
        return taken

    def holds_chunk(self) -> bool:
        """Whether a chunk is full, or all is finished."""
        limit = self._limit
        if not self.all_finished and not self._may_be_full(limit):
            return False
        self._make_ready(limit)
        if not self._ready:
            self._horizon = max(self._horizon, limit)
        if self.all_finished or self._is_full():
            return True
        self._tried_with, self._tried_to = self._inside(), limit
        return False

    @property
    def exhausted(self) -> bool:
        """Whether the chunk just taken was the last one."""
        return self.all_finished and not self._ready

    def lookahead(self) -> list[Record]:
        """The records that come after the chunk just taken, in order. They stay inside.

        After the last chunk all that were read past the cut, else the next `LOOKAHEAD`.
        """
        inside = (record for each in self._unreleased.values() for record in each.pending)
        if self.exhausted:
            return sorted([*self._set_aside, *(record for record in inside if record.key_ns > self._cut_key)])
        after = self._ready[:LOOKAHEAD]
        return [*after, *heapq.nsmallest(LOOKAHEAD - len(after), inside)]

    @property
    def _limit(self) -> int:
        """What has a key up to this one may leave."""
        return self._cut_key if self.all_finished else min(self._slowest() - self._reorder_ns, self._cut_key)

    def _slowest(self) -> int:
        """The highest key up to which every unfinished partition was read."""
        unfinished = (each for each in self._unreleased.values() if not each.finished)
        return min((each.furthest for each in unfinished), default=_END_OF_TIME)

    def _inside(self) -> int:
        """How many chunks all that is inside would fill, in tenths."""
        records = len(self._ready) + sum(len(each.pending) for each in self._unreleased.values())
        size = self._ready_size + sum(each.size for each in self._unreleased.values())
        return max(10 * records // self._chunk_records, 10 * size // self._chunk_bytes)

    def _may_be_full(self, limit: int) -> bool:
        # To look costs time, as all that is inside is put in order for it.
        return limit > self._tried_to and self._inside() >= max(10, self._tried_with + 2)

    def _is_full(self) -> bool:
        return len(self._ready) >= self._chunk_records or self._ready_size >= self._chunk_bytes

    def _make_ready(self, limit: int) -> None:
        before = len(self._ready)
        for unreleased in self._unreleased.values():
            taken, size = unreleased.take(limit)
            self._ready += taken
            self._ready_size += size
        if len(self._ready) > before:
            self._ready.sort()  # sorted runs, which the sort merges

    def _chunk_end(self) -> int:
        ready = self._ready
        count = len(ready) if self._ready_size < self._chunk_bytes else self._reached_bytes()
        count = min(count, self._chunk_records, len(ready))
        while count < len(ready) and ready[count].key_ns == ready[count - 1].key_ns:
            count += 1
        return count

    def _reached_bytes(self) -> int:
        """How many ready records are as many bytes as a chunk has."""
        size = 0
        for count, record in enumerate(self._ready, 1):
            size += _size([record])
            if size >= self._chunk_bytes:
                return count
        return len(self._ready)


def _size_of_taken(taken: Sequence[Record], left: Sequence[Record], size: int) -> int:
    """The bytes of `taken`, where it and what is left have `size`: the smaller part is counted."""
    return size - _size(left) if len(left) < len(taken) else _size(taken)


def _size(records: Sequence[Record]) -> int:
    # Without a call or a loop's step for each: there are millions.
    size = sum(map(len, filter(None, map(_VALUE, records))))
    size += sum(map(len, filter(None, map(_RAW_KEY, records))))
    for headers in filter(None, map(_HEADERS, records)):
        size += sum(len(name) + len(content or b"") for name, content in headers)
    return size


_KEY, _VALUE, _RAW_KEY, _HEADERS = (
    itemgetter(Record._fields.index(name)) for name in ("key_ns", "value", "raw_key", "headers")
)
