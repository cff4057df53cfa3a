"""One bounded pass over the log: from a start to its end or to a cut in time, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from dvidsync_dagster.events.origin import Origin
from dvidsync_dagster.log.ahead import SetAside
from dvidsync_dagster.log.checkpoint import Positions
from dvidsync_dagster.log.chunk import LogChunk, log_frame, malformed, without_duplicates
from dvidsync_dagster.log.ledger import OffsetLedger
from dvidsync_dagster.log.merge import Entry, Headers, KeyMerge, Place

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


class Batch(NamedTuple):
    """Records of one partition, in offset order, and the offset after all that was read (holes included)."""

    place: Place
    records: Sequence[KafkaRecord]
    next_offset: int


class Feed(Protocol):
    """Reads partitions from where they stand."""

    def poll(self, hold: Collection[Place]) -> Iterable[Batch]:
        """What came in, waiting a little if there is nothing. Partitions in `hold` are not read on."""

    def seek(self, place: Place, offset: int) -> None:
        """Go on at this offset."""

    def stop(self, place: Place) -> None:
        """Read no more of this partition."""


class Reading:
    """A pass over the log that knows at any time what a checkpoint must hold.

    Args:
        feed: stands at `start`.
        start: for every partition of the log; partitions that are not in `ends` stay as they are.
        ends: where each partition to be read ends.
        cut_key, from_key, now, chunk_records, chunk_bytes, reorder_ns: as for `MutationLog.chunks`.
    """

    def __init__(
        self,
        feed: Feed,
        start: Positions,
        ends: Mapping[Place, int],
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
        self._topics = sorted({topic for topic, _ in ends})
        self._empty = 0
        self._skips = {(topic, partition): list(start[topic][partition].beyond) for topic, partition in ends}
        self._ledger = OffsetLedger(start)
        self._merge = KeyMerge(
            ends, cut_key=cut_key, reorder_ns=reorder_ns, chunk_records=chunk_records, chunk_bytes=chunk_bytes
        )
        for place in ends:
            self._go_on(place)

    def positions(self, unapplied: Iterable[Origin]) -> Positions:
        """What a checkpoint must hold; see `MutationLog.positions`."""
        return self._ledger.positions(unapplied)

    def pass_over(self, origins: Iterable[Origin]) -> None:
        """These were read and set aside; they count as applied."""
        for origin in origins:
            self._ledger.release(origin.topic, origin.partition, [origin.offset])

    def chunks(self) -> Iterator[LogChunk]:
        """At least one chunk, the last of them marked."""
        while True:
            entries = self._merge.chunk()
            if entries is not None:
                yield self._chunk(entries)
            elif self._merge.all_finished:
                yield self._chunk([])
            else:
                for batch in self._feed.poll(self._merge.ahead()):
                    self._take_in(batch)
                continue
            if self._merge.exhausted:
                return

    def _take_in(self, batch: Batch) -> None:
        topic, partition = place = batch.place
        if place not in self._ends:
            return
        end, known, skips = self._ends[place], self._ledger.next_offset(topic, partition), self._skips[place]
        entries, ahead, furthest, now = [], [], -1, max(self._now(), self._cut_key)
        for record in batch.records:
            if record.offset >= end:
                break
            if record.offset < known:
                continue
            while skips and skips[0][1] <= record.offset:
                skips.pop(0)
            skipped = bool(skips) and skips[0][0] <= record.offset
            if not record.key and not record.value:
                self._empty += not skipped
                continue
            entry = self._entry(topic, partition, record)
            if entry.key > now:
                if not skipped:
                    ahead.append(entry)
                continue
            if entry.found is None and entry.key > furthest:
                furthest = entry.key
            if entry.key >= self._from_key and not skipped:
                entries.append(entry)
        self._merge.read(place, entries, furthest)
        outstanding = [entry.offset for entry in entries]
        if ahead:
            self._merge.set_aside(self._ahead.add(ahead, now))
            outstanding += [entry.offset for entry in ahead]
        self._ledger.read(topic, partition, min(batch.next_offset, end), outstanding)
        self._go_on(place)

    def _go_on(self, place: Place) -> None:
        """Finish a partition that was read to its end, or jump over what is applied already."""
        topic, partition = place
        following = self._ledger.next_offset(topic, partition)
        for first, last in self._skips[place]:
            if first <= following and last - following > _WORTH_SEEKING:
                following = min(last, self._ends[place])
                self._ledger.read(topic, partition, following, ())
                self._feed.seek(place, following)
        if following >= self._ends[place] or self._merge.is_past_cut(place):
            self._merge.finish(place)
            self._feed.stop(place)

    def _chunk(self, entries: list[Entry]) -> LogChunk:
        by_place: dict[Place, list[int]] = {}
        for entry in entries:
            by_place.setdefault((entry.topic, entry.partition), []).append(entry.offset)
        for (topic, partition), offsets in by_place.items():
            self._ledger.release(topic, partition, offsets)
        kept = without_duplicates(entries)
        last = self._merge.exhausted
        lookahead = self._merge.lookahead()
        empty, self._empty = self._empty, 0
        return LogChunk(
            frame=log_frame([entry for entry in kept if entry.found is None], self._topics),
            malformed=tuple(malformed(entry) for entry in kept if entry.found is not None),
            lookahead=log_frame([entry for entry in lookahead if entry.found is None], self._topics),
            horizon=self._merge.horizon,
            last=last,
            duplicates=len(entries) - len(kept),
            behind=self._behind(),
            empty=empty,
            ahead=self._ahead.found,
            entries=kept,
        )

    def _behind(self) -> int:
        unread = (end - self._ledger.next_offset(*place) for place, end in self._ends.items())
        return self._ledger.outstanding + sum(max(0, count) for count in unread)

    def _entry(self, topic: str, partition: int, record: KafkaRecord) -> Entry:
        raw, value = record.key, record.value
        key = int(raw) if raw is not None and len(raw) <= _KEY_DIGITS and raw.isdigit() else None
        if key is not None and raw is not None and value is not None and key <= LATEST_KEY:
            odd = raw if raw[0] == _ZERO else None
            # Kafka's client makes a list for each record that has no headers: millions to keep alive.
            headers = record.headers or ()
            return _new(
                Entry, (key, topic, partition, record.offset, value, None, odd, record.timestamp, headers)
            )
        key = key_of(raw)
        timestamp, headers = record.timestamp, record.headers or ()
        if key is not None:
            found = "it has no value"
            return Entry(key, topic, partition, record.offset, None, found, raw, timestamp, headers)
        found = "its key is missing" if raw is None else f"its key {raw[:40]!r} is not a time in nanoseconds"
        # Without a time of its own it is placed by Kafka's, and never left behind the cut.
        placed = min(max(timestamp, 0) * _NS_PER_MS, self._cut_key)
        return Entry(placed, topic, partition, record.offset, value, found, raw, timestamp, headers)


def key_of(raw: bytes | None) -> int | None:
    """The time (ns since 1970) that a record's key says; None if it says none."""
    if raw is None or len(raw) > _KEY_DIGITS or not raw.isdigit():
        return None
    key = int(raw)
    return key if key <= LATEST_KEY else None
