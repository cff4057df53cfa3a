"""Partitions in memory, read as Kafka's are: in batches, with holes, in any interleaving."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dvidsync_dagster.log.intake import Polled
from dvidsync_dagster.log.record import Partition


@dataclass(frozen=True)
class Stored:
    """One record as a consumer hands it over."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int = -1
    headers: Sequence[tuple[str, bytes | None]] = ()


@dataclass
class MemoryFeed:
    """A `Feed` over these records. `choose(n)` picks a number below n: which partition, how many records."""

    partitions: Mapping[Partition, list[Stored]]
    ends: Mapping[Partition, int]
    start: Mapping[Partition, int]
    choose: Callable[[int], int]
    batch_records: int = 4
    stopped: set[Partition] = field(default_factory=set)
    held_at_most: int = 0
    polls: int = 0
    delivered: int = 0

    def __post_init__(self) -> None:
        self.reached = dict(self.start)

    def poll(self, hold: Collection[Partition]) -> Iterator[Polled]:
        self.polls += 1
        open_partitions = [p for p in self.reached if p not in self.stopped and p not in hold]
        assert open_partitions, "everything is held: the reading would wait for ever"
        partition = open_partitions[self.choose(len(open_partitions))]
        stored = self.partitions[partition]
        first = bisect_left(stored, self.reached[partition], key=lambda record: record.offset)
        last = first + 1 + self.choose(self.batch_records)
        records = stored[first:last]
        following = stored[last].offset if last < len(stored) else self.ends[partition]
        self.reached[partition] = following
        self.delivered += len(records)
        yield Polled(partition, records, following)

    def seek(self, partition: Partition, offset: int) -> None:
        self.reached[partition] = offset

    def stop(self, partition: Partition) -> None:
        self.stopped.add(partition)
