"""The mutation log of a repo: its topics as one sequence, ordered by key, read from a checkpoint to a cut."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from kafka import KafkaAdminClient, KafkaConsumer

from dvidsync_dagster.errors import LogGap, LogRecreated
from dvidsync_dagster.events.origin import Origin, key_text
from dvidsync_dagster.log.bridge import BridgedFeed
from dvidsync_dagster.log.checkpoint import PartitionPosition, Positions
from dvidsync_dagster.log.chunk import LogChunk
from dvidsync_dagster.log.feed import KafkaFeed
from dvidsync_dagster.log.intake import LATEST_KEY
from dvidsync_dagster.log.kafka import KafkaConnection
from dvidsync_dagster.log.moment import MomentSeeker
from dvidsync_dagster.log.partitions import TopicsAtBroker
from dvidsync_dagster.log.ranges import Range, without
from dvidsync_dagster.log.reading import Feed, LogReading
from dvidsync_dagster.log.record import Partition

if TYPE_CHECKING:
    from dvidsync_dagster.log.archive import LogArchive

REORDER_NS = 10_000_000_000
"""How far keys may be out of order inside a partition. What comes later than that is released late, with the
chunk that is made next."""
CHUNK_BYTES = 64 << 20

_COLLECTED_AFTER = 500_000
"""Objects. Python would look for cycles among all records that wait after each 700: a quarter of the time. A
chunk and what is made of it are about as many, so they are looked at once or twice."""

_HELD_NS = 3_600_000_000_000
"""What waits to be applied is not older than what is applied by more than this, an hour."""


@dataclass(frozen=True, slots=True)
class _Held:
    """What a broker holds, by partition.

    Args:
        gaps: what it has dropped, and was not applied.
        bridged: how many offsets of these the archive has.
    """

    beginnings: Mapping[Partition, int]
    ends: Mapping[Partition, int]
    gaps: Mapping[Partition, Range]
    bridged: int


class MutationLog:
    """The topics of one repo. A context manager: it holds connections to the broker.

    Args:
        connection: the broker.
        topics: their names; those that do not exist (yet) hold nothing.
        archive: where records are read that the broker has dropped.

    Every method raises `BrokerUnreachable` if the broker does not answer in time.
    """

    def __init__(
        self, connection: KafkaConnection, topics: Sequence[str], archive: LogArchive | None = None
    ) -> None:
        self._connection = connection
        self._archive = archive
        self._topics = tuple(dict.fromkeys(topics))
        self.bridged = 0
        self._reading: LogReading | None = None
        self._consumer: KafkaConsumer
        self._admin: KafkaAdminClient
        self._broker: TopicsAtBroker

    def __enter__(self) -> MutationLog:
        self._thresholds = gc.get_threshold()
        gc.set_threshold(_COLLECTED_AFTER, *self._thresholds[1:])
        self._consumer = self._connection.consumer()
        try:
            self._admin = self._connection.admin()
        except BaseException:
            self._consumer.close(autocommit=False, timeout_ms=0)
            raise
        self._broker = TopicsAtBroker(self._connection, self._consumer, self._admin, self._topics)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        gc.set_threshold(*self._thresholds)
        self._consumer.close(autocommit=False, timeout_ms=0)
        self._admin.close()

    def beginning(self) -> Positions:
        """The first offset that the broker holds, per partition. Topics that do not exist are absent."""
        return _positions(self._broker.beginnings(self._broker.partitions()))

    def end(self) -> Positions:
        """The offset after the last record, per partition. Topics that do not exist are absent."""
        return _positions(self._broker.ends(self._broker.partitions()))

    def at(self, key: int) -> Positions:
        """By partition the first offset from where on all records of `key` (ns since 1970) or later lie.

        Keys decide: Kafka's own times can be those of a broker whose clock is wrong.
        """
        partitions = self._broker.partitions()
        ends = self._broker.ends(partitions)  # first: what comes in between belongs to the future
        beginnings = self._broker.beginnings(partitions)
        seeker = MomentSeeker(
            self._consumer, self._connection, self._broker.at_times, beginnings, ends, REORDER_NS
        )
        return _positions(seeker.find(key))

    def ids(self) -> dict[str, str]:
        """The id that Kafka gave each topic when it was made; brokers before Kafka 2.8 tell none."""
        return self._broker.ids()

    def check(self, positions: Positions, since: int = 0, ids: Mapping[str, str] | None = None) -> int:
        """Compare a checkpoint's positions with what the broker holds, before anything is read.

        A partition that `positions` lacks is read from offset 0 (a topic born since), so it has a gap if its
        first records are gone. Only where `positions` is empty, a new start, whatever the broker holds is
        taken as the beginning.

        Args:
            positions: of the checkpoint.
            since: the key (ns since 1970) up to which all is applied; 0 if unknown.
            ids: of the topics, when the checkpoint was made.

        Returns:
            How many offsets will be read from the archive, because the broker has dropped them.

        Raises:
            LogGap: records that were never applied are gone, and the archive does not hold them all.
            LogRecreated: a topic has another id, ends before what was read from it, or is gone.
        """
        return self._held(positions, since, ids).bridged

    def _held(self, positions: Positions, since: int, ids: Mapping[str, str] | None = None) -> _Held:
        """What the broker holds. Arguments and errors as `check`."""
        reached = key_text(since) if since else None
        partitions, ids_now = self._broker.described()
        _check_ids(ids or {}, ids_now, reached)
        beginnings, ends = self._broker.beginnings(partitions), self._broker.ends(partitions)
        known = {
            (topic, number): position
            for topic in self._topics
            for number, position in positions.get(topic, {}).items()
        }
        _check_ends(known, ends, reached)
        bridged = 0
        gaps = self._gaps(positions, beginnings)
        for (topic, number), (first, last) in gaps.items():
            wanted = without([(first, last)], known.get((topic, number), PartitionPosition(0)).beyond)
            if self._archive is None or not self._archive.covers(
                topic, number, wanted, max(0, since - _HELD_NS)
            ):
                raise LogGap(topic, number, first, last, reached, archived=self._archive is not None)
            bridged += sum(end - start for start, end in wanted)
        return _Held(beginnings, ends, gaps, bridged)

    def _gaps(self, positions: Positions, beginnings: Mapping[Partition, int]) -> dict[Partition, Range]:
        """The offsets from the first that is not applied to the first that the broker still holds."""
        missing = PartitionPosition(0) if any(positions.values()) else None
        gaps = {}
        for (topic, number), beginning in beginnings.items():
            position = positions.get(topic, {}).get(number, missing)
            if position is not None and position.next < beginning:
                gaps[topic, number] = (position.next, beginning)
        return gaps

    def chunks(
        self,
        start: Positions,
        *,
        cut_key: int,
        chunk_records: int,
        from_key: int = 0,
        now: Callable[[], int] = lambda: LATEST_KEY,
        since: int = 0,
        ids: Mapping[str, str] | None = None,
    ) -> Iterator[LogChunk]:
        """Read the log from `start` to its end as it is now, in order of the keys.

        Every partition is read until its end or until `REORDER_NS` past the cut. What a partition holds
        ahead of the slowest one is bounded, so memory follows the chunk, and the records of `REORDER_NS`,
        but not the backlog.

        Args:
            start: where to begin; offsets in `beyond` are left out. Topics of other logs stay as they are.
            cut_key: records with a later key are not released.
            chunk_records: a chunk is full when it reaches these, or `CHUNK_BYTES`; one key is never torn
                apart.
            from_key: records with an earlier key are dropped, as applied.
            now: the source's clock (ns since 1970), asked while reading. A record whose key is ahead of it is
                set aside: it is not released, and what lies behind it is read. Without a clock none is.
            since, ids: as for `check`.

        Returns:
            One chunk at least; the last one is marked. `bridged` tells how many offsets it reads from the
            archive.

        Raises:
            LogGap, LogRecreated: as `check`; also while reading, if the broker drops records meanwhile.
            BrokerUnreachable: while reading; everything that was released stands.
        """
        held = self._held(start, since, ids)
        self.bridged = held.bridged
        whole = _with_new(start, held.beginnings)
        first = {(topic, number): whole[topic][number].next for topic, number in held.ends}
        behind_gaps = {partition: last for partition, (_, last) in held.gaps.items()}
        feed: Feed = KafkaFeed(self._consumer, self._connection, {**first, **behind_gaps}, self._explain)
        if held.gaps and self._archive is not None:
            feed = BridgedFeed(feed, self._archive, held.gaps, max(0, since - _HELD_NS))
        self._reading = LogReading(
            feed,
            whole,
            held.ends,
            cut_key=cut_key,
            from_key=from_key,
            now=now,
            chunk_records=chunk_records,
            chunk_bytes=CHUNK_BYTES,
            reorder_ns=REORDER_NS,
        )
        return self._reading.chunks()

    @contextmanager
    def reading_on(self) -> Iterator[None]:
        """What the next chunk takes is read meanwhile. Nothing else may be asked of the log until then."""
        if self._reading is None:
            yield
            return
        over = threading.Event()
        thread = threading.Thread(target=self._reading.read_on, args=(over.is_set,), name="read on")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def positions(self, unapplied: Iterable[Origin] = ()) -> Positions:
        """What a checkpoint must hold now, if all that the chunks released is applied except `unapplied`.

        Raises:
            ValueError: nothing was read yet, or one of `unapplied` was not released by this reading.
        """
        if self._reading is None:
            raise ValueError("positions are known once `chunks` has been called")
        return self._reading.positions(unapplied)

    def pass_over(self, origins: Iterable[Origin]) -> None:
        """Count records that were set aside, as their keys are ahead of the clock, as applied."""
        if self._reading is not None:
            self._reading.pass_over(origins)

    def _explain(self) -> None:
        if self._reading is not None:
            positions = self._reading.positions(())
            self.check(positions)
            beginnings = self._broker.beginnings(self._broker.partitions())
            for (topic, number), gap in self._gaps(positions, beginnings).items():
                # It opened just now; the next run finds out whether the archive holds it.
                raise LogGap(topic, number, *gap, None)


def _check_ids(before: Mapping[str, str], now: Mapping[str, str], reached: str | None) -> None:
    for topic, known in before.items():
        if now.get(topic, known) != known:
            found = f"has the id {now[topic]}, and had {known} when the checkpoint was made"
            raise LogRecreated(topic, None, found, reached)


def _check_ends(
    known: Mapping[Partition, PartitionPosition], ends: Mapping[Partition, int], reached: str | None
) -> None:
    for (topic, number), position in sorted(known.items()):
        following = position.beyond[-1][1] if position.beyond else position.next
        end = ends.get((topic, number), 0)
        if following > end:
            found = f"ends at offset {end}, but offset {following} comes next after the checkpoint"
            raise LogRecreated(topic, number, found, reached)


def _with_new(start: Positions, beginnings: Mapping[Partition, int]) -> Positions:
    """The positions with those partitions that they lack. One that was born since begins at its first
    record, whether or not the broker holds that still; without any position the broker's beginning counts."""
    is_new = not any(start.values())
    whole = {topic: dict(numbers) for topic, numbers in start.items()}
    for (topic, number), beginning in beginnings.items():
        whole.setdefault(topic, {}).setdefault(number, PartitionPosition(beginning if is_new else 0))
    return whole


def _positions(offsets: dict[Partition, int]) -> Positions:
    result: dict[str, dict[int, PartitionPosition]] = {}
    for (topic, number), offset in offsets.items():
        result.setdefault(topic, {})[number] = PartitionPosition(offset)
    return result
