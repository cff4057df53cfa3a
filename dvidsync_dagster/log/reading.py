"""One bounded pass over the log: from a start to its end or to a cut in time, chunk by chunk."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import Protocol

from dvidsync_dagster.events.origin import Origin
from dvidsync_dagster.log.ahead import SetAside
from dvidsync_dagster.log.checkpoint import Positions
from dvidsync_dagster.log.chunk import LogChunk, without_duplicates
from dvidsync_dagster.log.disorder import Disorder
from dvidsync_dagster.log.intake import KafkaRecord, Polled, log_records
from dvidsync_dagster.log.ledger import OffsetLedger
from dvidsync_dagster.log.merge import KeyMerge
from dvidsync_dagster.log.record import Partition, Record

_WORTH_SEEKING = 5_000  # a seek throws away what has been fetched; reading over fewer records is cheaper


class Feed(Protocol):
    """Reads partitions from where they stand."""

    def poll(self, hold: Collection[Partition]) -> Iterable[Polled]:
        """What came in, waiting a little if there is nothing. Partitions in `hold` are not read on."""

    def seek(self, partition: Partition, offset: int) -> None:
        """Go on at this offset."""

    def stop(self, partition: Partition) -> None:
        """Read no more of this partition."""


_offset = attrgetter("offset")
# Without a call or a loop's step for each record: there are millions.
_KEY, _OFFSET, _FOUND = (itemgetter(Record._fields.index(name)) for name in ("key_ns", "offset", "found"))


class LogReading:
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
        self._from_start: set[Partition] = set()
        self._disorder = Disorder(reorder_ns)
        self._now = now
        self._ahead = SetAside()
        self._empty = 0
        self._failure: Exception | None = None
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
            if records is None and not self._merge.all_finished:
                self._poll()
                continue
            chunk = self._chunk(records or [])
            yield chunk
            if chunk.last:
                return

    def read_on(self, is_over: Callable[[], bool]) -> None:
        """Read what the next chunk takes, as long as it is not over. What fails shows when that chunk is
        asked for."""
        try:
            while not (is_over() or self._merge.holds_chunk()):
                self._poll()
        except Exception as error:
            self._failure = error

    def _poll(self) -> None:
        if self._failure is not None:
            raise self._failure
        for polled in self._feed.poll(self._merge.ahead()):
            self._take_in(polled)

    def _take_in(self, polled: Polled) -> None:
        partition = polled.partition
        if partition not in self._ends:
            return
        end, now = self._ends[partition], max(self._now(), self._cut_key)
        fresh, applied = self._unread(polled, end)
        records = log_records(partition, fresh, self._cut_key)
        self._empty += len(fresh) - len(records)
        before = log_records(partition, applied, self._cut_key)
        furthest = max(_furthest(records, now), _furthest(before, now))
        self._disorder.watch(partition, _well_formed(records), _well_formed(before), now)
        ahead: list[Record] = []
        if max(map(_KEY, records), default=now) > now:
            ahead = [record for record in records if record.key_ns > now]
            records = [record for record in records if record.key_ns <= now]
        if self._from_key and partition not in self._from_start:
            records = self._since_start(partition, records)
        self._merge.read(partition, records, furthest)
        outstanding = list(map(_OFFSET, records))
        if ahead:
            self._merge.set_aside(self._ahead.add(ahead, now))
            outstanding += map(_OFFSET, ahead)
        self._ledger.read(partition, min(polled.next_offset, end), outstanding)
        self._go_on(partition)

    def _since_start(self, partition: Partition, records: list[Record]) -> list[Record]:
        """Without those before the first that is not before the start. What lies behind that one came later,
        also with an earlier key, as the source's clock can go back."""
        for place, record in enumerate(records):
            if record.key_ns >= self._from_key:
                self._from_start.add(partition)
                return records[place:]
        return []

    def _unread(self, polled: Polled, end: int) -> tuple[Sequence[KafkaRecord], Sequence[KafkaRecord]]:
        """The records before `end` that were not read before: those to be applied, and those that are."""
        records, skips = polled.records, self._skips[polled.partition]
        first = bisect_left(records, self._ledger.next_offset(polled.partition), key=_offset)
        last = bisect_left(records, end, key=_offset)
        records = records[first:last]
        if not skips or not records or records[-1].offset < skips[0][0]:
            return records, ()
        fresh: list[KafkaRecord] = []
        applied: list[KafkaRecord] = []
        for record in records:
            while skips and skips[0][1] <= record.offset:
                skips.pop(0)
            (applied if skips and skips[0][0] <= record.offset else fresh).append(record)
        return fresh, applied

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
        offsets: defaultdict[str, defaultdict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
        for _, topic, number, offset, _, _, _, _, _ in records:  # a star would make a list for each
            offsets[topic][number].append(offset)
        for topic, numbers in offsets.items():
            for number, released in numbers.items():
                self._ledger.release((topic, number), released)
        kept = without_duplicates(records)
        last = self._merge.exhausted
        lookahead = self._merge.lookahead()
        empty, self._empty = self._empty, 0
        return LogChunk(
            records=_well_formed(kept),
            malformed=tuple(record for record in kept if record.found is not None),
            lookahead=_well_formed(lookahead),
            horizon=self._merge.horizon,
            last=last,
            duplicates=len(records) - len(kept),
            behind=self._behind(),
            empty=empty,
            ahead=self._ahead.found,
            went_back=self._disorder.found,
        )

    def _behind(self) -> int:
        unread = (end - self._ledger.next_offset(partition) for partition, end in self._ends.items())
        return self._ledger.outstanding + sum(max(0, count) for count in unread)


def _furthest(records: Sequence[Record], now: int) -> int:
    """The latest key up to `now` of the well-formed ones, or -1."""
    keys = list(map(_KEY, _well_formed(records)))
    furthest = max(keys, default=-1)
    return furthest if furthest <= now else max((key for key in keys if key <= now), default=-1)


def _well_formed(records: Sequence[Record]) -> Sequence[Record]:
    if not any(map(_FOUND, records)):
        return records
    return [record for record in records if record.found is None]
