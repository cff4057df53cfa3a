"""The partitions of a log's topics, as the broker has them: which there are, where they begin and end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import LeaderNotAvailableError, NoError, UnknownTopicOrPartitionError, for_code

from dvidsync_dagster.log.kafka import KafkaConnection
from dvidsync_dagster.log.record import Partition

_NS_PER_MS = 1_000_000
_NO_ID = "00000000-0000-0000-0000-000000000000"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TopicsAtBroker:
    """Asks a broker about topics, each time anew; those that do not exist have no partitions.

    Args:
        connection: the broker.
        consumer, admin: clients of this connection.
        topics: their names.

    Every method raises `BrokerUnreachable` if the broker does not answer in time.
    """

    connection: KafkaConnection
    consumer: KafkaConsumer
    admin: KafkaAdminClient
    topics: Sequence[str]

    def described(self) -> tuple[list[Partition], dict[str, str]]:
        """Of those topics that exist the partitions, in order, and the id that Kafka gave each when it was
        made; brokers before Kafka 2.8 tell none."""
        described = self._described()
        partitions = sorted(
            (topic["name"], partition["partition_index"])
            for topic in described
            for partition in topic["partitions"]
        )
        told = {topic["name"]: topic["topic_id"] for topic in described if topic["partitions"]}
        return partitions, {name: id_ for name, id_ in told.items() if id_ and id_ != _NO_ID}

    def partitions(self) -> list[Partition]:
        """The partitions of those topics that exist, in order."""
        partitions, _ = self.described()
        return partitions

    def ids(self) -> dict[str, str]:
        """The ids of topics, see `described`."""
        _, ids = self.described()
        return ids

    def beginnings(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """The first offset that the broker holds of each."""
        return self._offsets(self.consumer.beginning_offsets, partitions)

    def ends(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """The offset after the last record of each."""
        return self._offsets(self.consumer.end_offsets, partitions)

    def at_times(self, ends: Mapping[Partition, int], key: int) -> dict[Partition, int]:
        """The first offsets that Kafka got at `key` (ns since 1970) or later, by its own times; the end of a
        partition where nothing is that late."""
        moment = max(0, key // _NS_PER_MS)
        offsets = {}
        with self.connection.errors():
            found = self.consumer.offsets_for_times({TopicPartition(*each): moment for each in ends})
            for partition, end in ends.items():
                at = TopicPartition(*partition)
                # None: nothing that late, but also a partition that had no leader, unless it was asked alone.
                answer = found[at] or self.consumer.offsets_for_times({at: moment})[at]
                offsets[partition] = end if answer is None else answer.offset
        return offsets

    def _described(self) -> list[dict[str, Any]]:
        """The topics as the broker describes them; one that does not exist has no partitions."""
        if not self.topics:
            return []
        deadline = time.monotonic() + self.connection.timeout_seconds
        with self.connection.errors():
            while True:
                described: list[dict[str, Any]] = self.admin.describe_topics(list(self.topics))
                errors = {topic["name"]: for_code(topic["error_code"]) for topic in described}
                leaderless = [name for name, error in errors.items() if error is LeaderNotAvailableError]
                if not leaderless or time.monotonic() > deadline:
                    break
                _log.debug("Topics have no leader yet, and are asked again: %s", ", ".join(leaderless))
                time.sleep(0.1)  # a topic that is just being made
            for error in errors.values():
                if error not in (NoError, UnknownTopicOrPartitionError):
                    raise error
        return described

    def _offsets(
        self,
        ask: Callable[[list[TopicPartition]], dict[TopicPartition, int]],
        partitions: Sequence[Partition],
    ) -> dict[Partition, int]:
        if not partitions:
            return {}
        asked = [TopicPartition(*partition) for partition in partitions]
        with self.connection.errors():
            try:
                answers = ask(asked)
            except KeyError:  # kafka-python leaves out a partition that it has not met, unless it is alone
                answers = {each: ask([each])[each] for each in asked}
        return {(at.topic, at.partition): offset for at, offset in answers.items()}
