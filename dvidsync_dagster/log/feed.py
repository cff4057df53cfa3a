"""Reading partitions with kafka-python."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaTimeoutError, LogTruncationError, OffsetOutOfRangeError

from dvidsync_dagster.log.kafka import KafkaConnection
from dvidsync_dagster.log.merge import Place
from dvidsync_dagster.log.reading import Batch

_POLL_MS = 500
_POLL_RECORDS = 2_000


class KafkaFeed:
    """A `Feed` over partitions that are assigned, never taken from a consumer group.

    Args:
        consumer: from `KafkaConnection.consumer`; this feed is its only user.
        connection: tells how long a broker may be silent while there is something to read.
        start: the first offset to read, by partition.
        explain: called when the broker no longer has an offset; raises what that means.
    """

    def __init__(
        self,
        consumer: KafkaConsumer,
        connection: KafkaConnection,
        start: Mapping[Place, int],
        explain: Callable[[], None],
    ) -> None:
        self._consumer = consumer
        self._connection = connection
        self._explain = explain
        self._reached = dict(start)
        self._assigned: set[Place] = set()
        self._stopped: set[Place] = set()
        self._silent_seconds = 0.0

    def poll(self, hold: Collection[Place]) -> Iterator[Batch]:
        """See `Feed`.

        Raises:
            LogGap, LogRecreated: the broker lost records while they were to be read.
            BrokerUnreachable: nothing came for the connection's `timeout_seconds`.
        """
        reading = [place for place in self._reached if place not in self._stopped and place not in hold]
        began = time.monotonic()
        with self._connection.errors():
            self._assign(reading)
            try:
                records = self._consumer.poll(timeout_ms=_POLL_MS, max_records=_POLL_RECORDS)
                positions = {
                    place: self._consumer.position(TopicPartition(*place), _POLL_MS) for place in reading
                }
            except (OffsetOutOfRangeError, LogTruncationError):
                self._explain()
                raise
        moved = {place: offset for place, offset in positions.items() if (offset or 0) > self._reached[place]}
        self._reached.update(moved)
        self._note_silence(not moved, time.monotonic() - began)
        for place, offset in moved.items():
            yield Batch(place, records.get(TopicPartition(*place), ()), offset)

    def seek(self, place: Place, offset: int) -> None:
        self._reached[place] = offset
        if place in self._assigned:
            self._consumer.seek(TopicPartition(*place), offset)

    def stop(self, place: Place) -> None:
        self._stopped.add(place)

    def _assign(self, reading: list[Place]) -> None:
        # Not `pause` and `resume`: in kafka-python 3.0.12 a partition that is paused while its records are
        # half handed over is sometimes never read on.
        self._consumer.assign([TopicPartition(*place) for place in reading])
        for place in reading:
            if place not in self._assigned:
                self._consumer.seek(TopicPartition(*place), self._reached[place])
        self._assigned = set(reading)

    def _note_silence(self, is_silent: bool, seconds: float) -> None:
        # Time that the caller spends between polls does not count.
        self._silent_seconds = self._silent_seconds + seconds if is_silent else 0.0
        if self._silent_seconds > self._connection.timeout_seconds:
            with self._connection.errors():
                raise KafkaTimeoutError(f"no records for {self._connection.timeout_seconds:g} s")
