"""Reading partitions with kafka-python."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaTimeoutError, LogTruncationError, OffsetOutOfRangeError

from dvidsync_dagster.log.intake import Polled
from dvidsync_dagster.log.kafka import KafkaConnection
from dvidsync_dagster.log.record import Partition

_POLL_MS = 500
_POLL_RECORDS = 2_000
_LONG_SILENCE = 1 / 3
"""Of the time that a broker may be silent: after that much the log tells of it."""

_log = logging.getLogger(__name__)


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
        start: Mapping[Partition, int],
        explain: Callable[[], None],
    ) -> None:
        self._consumer = consumer
        self._connection = connection
        self._explain = explain
        self._reached = dict(start)
        self._assigned: set[Partition] = set()
        self._stopped: set[Partition] = set()
        self._silent_seconds = 0.0

    def poll(self, hold: Collection[Partition]) -> Iterator[Polled]:
        """See `Feed`.

        Raises:
            LogGap, LogRecreated: the broker lost records while they were to be read.
            BrokerUnreachable: nothing came for the connection's `timeout_seconds`.
        """
        reading = [
            partition
            for partition in self._reached
            if partition not in self._stopped and partition not in hold
        ]
        began = time.monotonic()
        with self._connection.errors():
            self._assign(reading)
            try:
                records = self._consumer.poll(timeout_ms=_POLL_MS, max_records=_POLL_RECORDS)
                positions = {
                    partition: self._consumer.position(TopicPartition(*partition), _POLL_MS)
                    for partition in reading
                }
            except (OffsetOutOfRangeError, LogTruncationError):
                self._explain()
                raise
        moved = {
            partition: offset
            for partition, offset in positions.items()
            if (offset or 0) > self._reached[partition]
        }
        self._reached.update(moved)
        self._note_silence(not moved, time.monotonic() - began)
        for partition, offset in moved.items():
            yield Polled(partition, records.get(TopicPartition(*partition), ()), offset)

    def seek(self, partition: Partition, offset: int) -> None:
        self._reached[partition] = offset
        if partition in self._assigned:
            self._consumer.seek(TopicPartition(*partition), offset)

    def stop(self, partition: Partition) -> None:
        self._stopped.add(partition)

    def _assign(self, reading: list[Partition]) -> None:
        # Not `pause` and `resume`: in kafka-python 3.0.12 a partition that is paused while its records are
        # half handed over is sometimes never read on.
        self._consumer.assign([TopicPartition(*partition) for partition in reading])
        for partition in reading:
            if partition not in self._assigned:
                self._consumer.seek(TopicPartition(*partition), self._reached[partition])
        self._assigned = set(reading)

    def _note_silence(self, is_silent: bool, seconds: float) -> None:
        # Time that the caller spends between polls does not count.
        before, limit = self._silent_seconds, self._connection.timeout_seconds
        self._silent_seconds = before + seconds if is_silent else 0.0
        if before < limit * _LONG_SILENCE <= self._silent_seconds:
            _log.warning(
                "Kafka has sent no records for %.0f s, and holds more. After %g s the run gives up",
                self._silent_seconds,
                limit,
                extra={"seconds": self._silent_seconds, "partitions": sorted(self._assigned)},
            )
        if self._silent_seconds > limit:
            with self._connection.errors():
                raise KafkaTimeoutError(f"no records for {limit:g} s")
