"""One bounded pass over the log: from a start to its end or to a cut in time, chunk by chunk."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import attrgetter
from typing import NamedTuple, Protocol

from dvidsync_dagster.events.origin import Origin
from dvidsync_dagster.log.ahead import SetAside
from dvidsync_dagster.log.checkpoint import Positions
from dvidsync_dagster.log.chunk import LogChunk, without_duplicates
from dvidsync_dagster.log.ledger import OffsetLedger
from dvidsync_dagster.log.merge import KeyMerge
from dvidsync_dagster.log.record import Headers, Partition, Record

LATEST_KEY = (1 << 63) - 1
_KEY_DIGITS = 19
_ZERO = ord("0")
_new = tuple.__new__  # a named tuple's own call takes thrice as long
_NS_PER_MS = 1_000_000
_WORTH_SEEKING = 5_000  # a seek throws away what has been fetched; reading over fewer records is cheaper


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


class Feed(Protocol):
    """Reads partitions from where they stand."""

    def poll(self, hold: Collection[Partition]) -> Iterable[Polled]:
        """What came in, waiting a little if there is nothing. Partitions in `hold` are not read on."""

    def seek(self, partition: Partition, offset: int) -> None:
        """Go on at this offset."""

    def stop(self, partition: Partition) -> None:
        """Read no more of this partition."""


_offset = attrgetter("offset")


class Reading:
    """A pass over the log that knows at any time what a checkpoint must hold.

    Args:
        feed: stands at `start`.
        start: for every partition of the log; partitions that are not in `ends` stay as they are.
        ends: where each partition to be read ends.
        cut_key, from_key, now: as for `MutationLog.chunks`.
        chunk_records, chunk_bytes, reorder_ns: as for `KeyMerge`.
    """

    def __init__(
        self,
        feed: Feed,
        start: Positions,
        ends: Mapping[Partition, int],
        *,
        cut_key: int,
        from_key: int,
        now: Callable[[], int],
        chunk_records: int,
        chunk_bytes: int,
        reorder_ns: int,
    ) -> None:
        self._feed = feed
        self._ends = ends
        self._cut_key = cut_key
        self._from_key = from_key
        self._now = now
        self._ahead = SetAside()
        self._empty = 0
        self._skips = {(topic, number): list(start[topic][number].beyond) for topic, number in ends}
        self._ledger = OffsetLedger(start)
        self._merge = KeyMerge(
            ends, cut_key=cut_key, reorder_ns=reorder_ns, chunk_records=chunk_records, chunk_bytes=chunk_bytes
        )
        for partition in ends:
            self._go_on(partition)

    def positions(self, unapplied: Iterable[Origin]) -> Positions:
        """What a checkpoint must hold; see `MutationLog.positions`."""
        return self._ledger.positions(unapplied)

    def pass_over(self, origins: Iterable[Origin]) -> None:
        """These were read and set aside; they count as applied."""
        for origin in origins:
            self._ledger.release((origin.topic, origin.partition), [origin.offset])

    def chunks(self) -> Iterator[LogChunk]:
        """At least one chunk, the last of them marked."""
        while True:
            records = self._merge.chunk()
            if records is not None:
                yield self._chunk(records)
            elif self._merge.all_finished:
                yield self._chunk([])
            else:
                for polled in self._feed.poll(self._merge.ahead()):
                    self._take_in(polled)
                continue
            if self._merge.exhausted:
                return

    def _take_in(self, polled: Polled) -> None:
        partition = polled.partition
        if partition not in self._ends:
            return
        end, now = self._ends[partition], max(self._now(), self._cut_key)
        records: list[Record] = []
        ahead: list[Record] = []
        furthest = -1
        for record, applied in self._fresh(polled, end):
            if record.key_ns > now:
                if not applied:
                    ahead.append(record)
                continue
            if record.found is None and record.key_ns > furthest:
                furthest = record.key_ns
            if record.key_ns >= self._from_key and not applied:
                records.append(record)
        self._merge.read(partition, records, furthest)
        outstanding = [record.offset for record in records]
        if ahead:
            self._merge.set_aside(self._ahead.add(ahead, now))
            outstanding += [record.offset for record in ahead]
        self._ledger.read(partition, min(polled.next_offset, end), outstanding)
        self._go_on(partition)

    def _fresh(self, polled: Polled, end: int) -> Iterator[tuple[Record, bool]]:
        """The records before `end` that were not read before, each with whether it is applied already. Those
        without key and value are counted alone."""
        topic, number = polled.partition
        known, skips = self._ledger.next_offset(polled.partition), self._skips[polled.partition]
        first, last = bisect_left(polled.records, known, key=_offset), len(polled.records)
        if last and polled.records[-1].offset >= end:
            last = bisect_left(polled.records, end, key=_offset)
        applied = False
        for record in islice(polled.records, first, last):
            if skips:
                while skips and skips[0][1] <= record.offset:
                    skips.pop(0)
                applied = bool(skips) and skips[0][0] <= record.offset
            key, value = record.key, record.value
            if key or value:
                yield self._record(topic, number, record, key, value), applied
            else:
                self._empty += not applied

    def _go_on(self, partition: Partition) -> None:
        """Finish a partition that was read to its end, or jump over what is applied already."""
        following = self._ledger.next_offset(partition)
        for first, last in self._skips[partition]:
            if first <= following and last - following > _WORTH_SEEKING:
                following = min(last, self._ends[partition])
                self._ledger.read(partition, following, ())
                self._feed.seek(partition, following)
        if following >= self._ends[partition] or self._merge.is_past_cut(partition):
            self._merge.finish(partition)
            self._feed.stop(partition)

    def _chunk(self, records: list[Record]) -> LogChunk:
        offsets: dict[Partition, list[int]] = {}
        for record in records:
            offsets.setdefault((record.topic, record.partition), []).append(record.offset)
        for partition, released in offsets.items():
            self._ledger.release(partition, released)
        kept = without_duplicates(records)
        last = self._merge.exhausted
        lookahead = self._merge.lookahead()
        empty, self._empty = self._empty, 0
        return LogChunk(
            records=[record for record in kept if record.found is None],
            malformed=tuple(record for record in kept if record.found is not None),
            lookahead=[record for record in lookahead if record.found is None],
            horizon=self._merge.horizon,
            last=last,
            duplicates=len(records) - len(kept),
            behind=self._behind(),
            empty=empty,
            ahead=self._ahead.found,
        )

    def _behind(self) -> int:
        unread = (end - self._ledger.next_offset(partition) for partition, end in self._ends.items())
        return self._ledger.outstanding + sum(max(0, count) for count in unread)

    def _record(
        self, topic: str, number: int, record: KafkaRecord, raw: bytes | None, value: bytes | None
    ) -> Record:
        timestamp, headers = record.timestamp, record.headers
        # Kafka's client makes a list for each record that has no headers: millions to keep alive.
        headers = tuple(headers) if headers else ()
        key = key_of(raw)
        if key is not None and raw is not None and value is not None:
            odd = raw if raw[0] == _ZERO else None
            return _new(Record, (key, topic, number, record.offset, value, None, odd, timestamp, headers))
        if key is not None:
            found = "it has no value"
            return Record(key, topic, number, record.offset, None, found, raw, timestamp, headers)
        found = "its key is missing" if raw is None else f"its key {raw[:40]!r} is not a time in nanoseconds"
        # Without a time of its own it is placed by Kafka's, and never left behind the cut.
        placed = min(max(timestamp, 0) * _NS_PER_MS, self._cut_key)
        return Record(placed, topic, number, record.offset, value, found, raw, timestamp, headers)


def key_of(raw: bytes | None) -> int | None:
    """The time (ns since 1970) that a record's key says; None if it says none."""
    if raw is None or len(raw) > _KEY_DIGITS or not raw.isdigit():
        return None
    key = int(raw)
    return key if key <= LATEST_KEY else None
