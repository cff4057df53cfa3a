"""Where a moment of the source's time begins in each partition.

Kafka finds offsets by its own times only, and those can be a broker's, whose clock may be behind the
source's. So what Kafka names is checked by the keys of the records before it, and from further back if they
are too young; then the first record from the moment on is looked for by its key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from kafka import KafkaConsumer

from dvidsync_dagster.log.feed import KafkaFeed
from dvidsync_dagster.log.kafka import KafkaConnection
from dvidsync_dagster.log.merge import Place
from dvidsync_dagster.log.reading import Batch, key_of

_SECOND = 1_000_000_000
_BACK_NS = (0, 60 * _SECOND, 3_600 * _SECOND, 86_400 * _SECOND, 30 * 86_400 * _SECOND)
"""How much further back it is looked, one after the other; then the partition's beginning counts."""
_WITNESSES = 50
"""Offsets before a start whose keys are looked at."""
_READ_ON = 20_000
"""Offsets that are read at most to find the first record from the moment on; what is before it is read again
by whoever begins there, and dropped by its key."""


@dataclass(frozen=True, slots=True)
class MomentSeeker:
    """Looks for moments with a consumer that nobody else uses meanwhile.

    Args:
        at_times: the offset that Kafka names for a time (ns since 1970), by partition, of those given with
            their ends.
        beginnings, ends: of the partitions.
        reorder_ns: how far keys may be out of order inside a partition.
    """

    consumer: KafkaConsumer
    connection: KafkaConnection
    at_times: Callable[[Mapping[Place, int], int], Mapping[Place, int]]
    beginnings: Mapping[Place, int]
    ends: Mapping[Place, int]
    reorder_ns: int

    def find(self, key: int) -> dict[Place, int]:
        """By partition an offset with no record from `key` (ns since 1970) on before it; as a rule the offset
        of the first such record.

        Raises:
            BrokerUnreachable: the broker does not answer in time.
        """
        found: dict[Place, int] = {}
        unsure = dict(self.ends)
        for back in _BACK_NS:
            if not unsure:
                break
            named = self.at_times(unsure, max(0, key - back))
            sure = self._surely_before(named, key)
            found |= {place: named[place] for place in sure} if not back else self._first(named, sure, key)
            unsure = {place: end for place, end in unsure.items() if place not in sure}
        return found | {place: self.beginnings[place] for place in unsure}

    def _surely_before(self, named: Mapping[Place, int], key: int) -> set[Place]:
        """The partitions in which all before these offsets is older than `key`, by its last keys."""
        sure = {place for place, offset in named.items() if offset <= self.beginnings[place]}
        spans = {
            place: (max(self.beginnings[place], offset - _WITNESSES), offset)
            for place, offset in named.items()
            if place not in sure
        }
        youngest: dict[Place, int] = {}
        for batch in self._scan(spans):
            keys = [
                found
                for record in batch.records
                if record.offset < spans[batch.place][1] and (found := key_of(record.key)) is not None
            ]
            if keys:
                youngest[batch.place] = max(youngest.get(batch.place, 0), *keys)
        return sure | {place for place, last in youngest.items() if last < key - self.reorder_ns}

    def _first(self, named: Mapping[Place, int], places: set[Place], key: int) -> dict[Place, int]:
        """The first offset from there on whose record has `key` or a later one, or how far was looked."""
        spans = {place: (named[place], min(self.ends[place], named[place] + _READ_ON)) for place in places}
        found: dict[Place, int] = {}
        for batch in self._scan(spans, found):
            for record in batch.records:
                own = key_of(record.key)
                if record.offset < spans[batch.place][1] and own is not None and own >= key:
                    found[batch.place] = record.offset
                    break
        return {place: found.get(place, last) for place, (_, last) in spans.items()}

    def _scan(
        self, spans: Mapping[Place, tuple[int, int]], done: Mapping[Place, object] | None = None
    ) -> Iterator[Batch]:
        """Read these spans of offsets (and a little more); of a partition in `done` no more."""
        waiting = {place: last for place, (first, last) in spans.items() if first < last}
        starts = {place: spans[place][0] for place in waiting}
        feed = KafkaFeed(self.consumer, self.connection, starts, lambda: None)
        while waiting:
            for batch in feed.poll(()):
                yield batch
                if batch.next_offset >= waiting[batch.place] or (done and batch.place in done):
                    feed.stop(batch.place)
                    del waiting[batch.place]
