"""Partitions in memory, read as Kafka's are: in batches, with holes, in any interleaving."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dvidsync_dagster.log.merge import Place
from dvidsync_dagster.log.reading import Batch


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

    partitions: Mapping[Place, list[Stored]]
    ends: Mapping[Place, int]
    start: Mapping[Place, int]
    choose: Callable[[int], int]
    batch_records: int = 4
    stopped: set[Place] = field(default_factory=set)
    held_at_most: int = 0
    polls: int = 0
    delivered: int = 0

    def __post_init__(self) -> None:
        self.reached = dict(self.start)

    def poll(self, hold: Collection[Place]) -> Iterator[Batch]:
        self.polls += 1
        open_places = [p for p in self.reached if p not in self.stopped and p not in hold]
        assert open_places, "everything is held: the reading would wait for ever"
        place = open_places[self.choose(len(open_places))]
        stored = self.partitions[place]
        first = bisect_left(stored, self.reached[place], key=lambda record: record.offset)
        last = first + 1 + self.choose(self.batch_records)
        records = stored[first:last]
        following = stored[last].offset if last < len(stored) else self.ends[place]
        self.reached[place] = following
        self.delivered += len(records)
        yield Batch(place, records, following)

    def seek(self, place: Place, offset: int) -> None:
        self.reached[place] = offset

    def stop(self, place: Place) -> None:
        self.stopped.add(place)
