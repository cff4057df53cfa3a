"""Which offsets of each partition are done: what a checkpoint must hold. Pure, no Kafka."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from dvidsync_dagster.events.origin import Origin
from dvidsync_dagster.log.checkpoint import PartitionPosition, Positions
from dvidsync_dagster.log.ranges import joined
from dvidsync_dagster.log.record import Partition


class OffsetLedger:
    """Keeps, for each partition, how far it was read and which of the offsets read are outstanding.

    Offsets that were read and are not outstanding are done: released, dropped, or never records at all
    (holes that compaction and transactions leave). Memory grows with the outstanding offsets alone.

    Args:
        start: where reading begins; what it calls applied stays so.
    """

    def __init__(self, start: Positions) -> None:
        self._start = {
            (topic, number): position
            for topic, partitions in start.items()
            for number, position in partitions.items()
        }
        self._next = {partition: position.next for partition, position in self._start.items()}
        self._outstanding: dict[Partition, set[int]] = {partition: set() for partition in self._start}

    def read(self, partition: Partition, next_offset: int, outstanding: Iterable[int]) -> None:
        """Note that all before `next_offset` was read, and which of the new offsets are outstanding."""
        self._next[partition] = max(self._next[partition], next_offset)
        self._outstanding[partition].update(outstanding)

    def release(self, partition: Partition, offsets: Iterable[int]) -> None:
        """Note that these outstanding offsets are done."""
        self._outstanding[partition].difference_update(offsets)

    @property
    def outstanding(self) -> int:
        """How many offsets were read and are neither released nor dropped."""
        return sum(map(len, self._outstanding.values()))

    def next_offset(self, partition: Partition) -> int:
        """The first offset that was not read."""
        return self._next[partition]

    def positions(self, unapplied: Iterable[Origin] = ()) -> Positions:
        """The checkpoint's positions if everything that was released is applied, except these.

        Raises:
            ValueError: one of them was never released, so that no checkpoint could bring it back.
        """
        open_offsets = {partition: set(offsets) for partition, offsets in self._outstanding.items()}
        for origin in unapplied:
            partition = origin.topic, origin.partition
            if not self._was_read(partition, origin.offset):
                raise ValueError(f"{origin} was not read from this log, so it cannot be left unapplied")
            open_offsets[partition].add(origin.offset)
        result: dict[str, dict[int, PartitionPosition]] = {}
        for partition in sorted(self._start):
            topic, number = partition
            result.setdefault(topic, {})[number] = _position(
                sorted(open_offsets[partition]), self._next[partition], self._start[partition].beyond
            )
        return result

    def _was_read(self, partition: Partition, offset: int) -> bool:
        start = self._start.get(partition)
        return (
            start is not None
            and start.next <= offset < self._next[partition]
            and not any(first <= offset < last for first, last in start.beyond)
        )


def _position(
    open_offsets: list[int], next_offset: int, beyond: Iterable[tuple[int, int]]
) -> PartitionPosition:
    """The position that leaves these offsets (ascending), and all that is neither read nor in `beyond`."""
    not_reached = [(first, last) for first, last in beyond if last > next_offset]
    applied = joined([*_between(open_offsets, next_offset), *not_reached])
    if open_offsets:
        return PartitionPosition(open_offsets[0], tuple(applied))
    if applied and applied[0][0] <= next_offset:
        next_offset = applied.pop(0)[1]
    return PartitionPosition(next_offset, tuple(applied))


def _between(open_offsets: list[int], end: int) -> Iterator[tuple[int, int]]:
    """The ranges between the first open offset and `end` that hold no open one."""
    for offset, following in pairwise([*open_offsets, end]):
        if offset + 1 < following:
            yield offset + 1, following
