"""Carries what a source announces over to topics of another prefix: which records, when and how late."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import orjson
from kafka import KafkaConsumer, TopicPartition

from dvid_sandbox.messages import published
from tests.log.kafka_topics import Message, produce

SECOND = 1_000_000_000


@dataclass(frozen=True)
class Row:
    """A record of the source; `topic` without its prefix."""

    key: int
    topic: str
    value: bytes

    @property
    def action(self) -> str:
        return str(orjson.loads(self.value)["Action"])

    @property
    def mutation_id(self) -> int:
        return int(orjson.loads(self.value)["MutationID"])


@dataclass
class Relay:
    """From a source's topics (`broker`, `source_prefix`) to those of `prefix`."""

    broker: str
    source_prefix: str
    prefix: str = field(default_factory=lambda: f"relay-{secrets.token_hex(5)}-")
    _seen: int = 0
    _rested: set[Row] = field(default_factory=set)

    def fresh(self, count: int) -> list[Row]:
        """The next `count` records that the source announces, in order of their keys."""
        known = self._seen
        self._seen += count
        found = published(self.broker, self.source_prefix, self._seen)
        assert len(found) == self._seen
        return [
            Row(int(each["key"]), each["topic"].removeprefix(self.source_prefix), each["value"].encode())
            for each in found[known:]
        ]

    def rest(self) -> list[Row]:
        """All records of the source that are at the broker and did not come here before."""
        consumer = KafkaConsumer(bootstrap_servers=self.broker, enable_auto_commit=False)
        try:
            total = sum(
                end
                for topic in consumer.topics()
                if topic.startswith(self.source_prefix)
                for end in consumer.end_offsets(
                    [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
                ).values()
            )
        finally:
            consumer.close()
        rows = [
            Row(int(each["key"]), each["topic"].removeprefix(self.source_prefix), each["value"].encode())
            for each in published(self.broker, self.source_prefix, total)
            # A source without a prefix of its own.
            if not each["topic"].startswith(self.prefix)
        ]
        rested, self._rested = self._rested, set(rows)
        return [row for row in rows if row not in rested]

    def publish(self, rows: Iterable[Row], *, seconds_ago: float | None = None) -> None:
        """Now; with their own keys, or as if they had been announced so long ago."""
        now = time.time_ns()
        made = []
        for number, row in enumerate(rows):
            key = row.key if seconds_ago is None else now - int(seconds_ago * SECOND) + number
            fields = orjson.loads(row.value)
            # It tells when the server was started, which a new key would belie.
            fields.pop("Timestamp", None)
            made.append(Message(self.prefix + row.topic, 0, key, orjson.dumps(fields)))
        produce(self.broker, made)

    def settings(self) -> dict[str, object]:
        """Of `kafka` in a configuration that reads what was carried over."""
        return {"servers": [self.broker], "topic_prefix": self.prefix}
