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
from dvidsync_dagster.log.intake import Polled, key_of
from dvidsync_dagster.log.kafka import KafkaConnection
from dvidsync_dagster.log.record import Partition

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
    at_times: Callable[[Mapping[Partition, int], int], Mapping[Partition, int]]
    beginnings: Mapping[Partition, int]
    ends: Mapping[Partition, int]
    reorder_ns: int

    def find(self, key: int) -> dict[Partition, int]:
        """By partition an offset with no record from `key` (ns since 1970) on before it; as a rule the offset
        of the first such record.

        Raises:
            BrokerUnreachable: the broker does not answer in time.
        """
        found: dict[Partition, int] = {}
        unsure = dict(self.ends)
        for back in _BACK_NS:
            if not unsure:
                break
            named = self.at_times(unsure, max(0, key - back))
            sure = self._surely_before(named, key)
            exact = {partition: named[partition] for partition in sure}
            found |= self._first(named, sure, key) if back else exact
            unsure = {partition: end for partition, end in unsure.items() if partition not in sure}
        return found | {partition: self.beginnings[partition] for partition in unsure}

    def _surely_before(self, named: Mapping[Partition, int], key: int) -> set[Partition]:
        """The partitions in which all before these offsets is older than `key`, by its last keys."""
        sure = {partition for partition, offset in named.items() if offset <= self.beginnings[partition]}
        spans = {
            partition: (max(self.beginnings[partition], offset - _WITNESSES), offset)
            for partition, offset in named.items()
            if partition not in sure
        }
        youngest: dict[Partition, int] = {}
        for polled in self._scan(spans):
            keys = [
                found
                for record in polled.records
                if record.offset < spans[polled.partition][1] and (found := key_of(record.key)) is not None
            ]
            if keys:
                youngest[polled.partition] = max(youngest.get(polled.partition, 0), *keys)
        return sure | {partition for partition, last in youngest.items() if last < key - self.reorder_ns}

    def _first(
        self, named: Mapping[Partition, int], partitions: set[Partition], key: int
    ) -> dict[Partition, int]:
        """The first offset from there on whose record has `key` or a later one, or how far was looked."""
        spans = {
            partition: (named[partition], min(self.ends[partition], named[partition] + _READ_ON))
            for partition in partitions
        }
        found: dict[Partition, int] = {}
        for polled in self._scan(spans, found):
            for record in polled.records:
                own = key_of(record.key)
                if record.offset < spans[polled.partition][1] and own is not None and own >= key:
                    found[polled.partition] = record.offset
                    break
        return {partition: found.get(partition, last) for partition, (_, last) in spans.items()}

    def _scan(
        self, spans: Mapping[Partition, tuple[int, int]], done: Mapping[Partition, object] | None = None
    ) -> Iterator[Polled]:
        """Read these spans of offsets (and a little more); of a partition in `done` no more."""
        waiting = {partition: last for partition, (first, last) in spans.items() if first < last}
        starts = {partition: spans[partition][0] for partition in waiting}
        feed = KafkaFeed(self.consumer, self.connection, starts, lambda: None)
        while waiting:
            for polled in feed.poll(()):
                yield polled
                if polled.next_offset >= waiting[polled.partition] or (done and polled.partition in done):
                    feed.stop(polled.partition)
                    del waiting[polled.partition]
