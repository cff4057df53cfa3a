"""Topics with chosen contents on a broker."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from dvidsync_dagster.log.drain import MutationLog
from dvidsync_dagster.log.kafka import KafkaConnection

BASE = 1_795_411_076_000_000_000
"""A key: a moment of November 2026."""

SECOND = 1_000_000_000


@dataclass(frozen=True)
class Message:
    """One record to write. `key` may be any text; `value` None is a tombstone."""

    topic: str
    partition: int
    key: int | bytes | None
    value: bytes | None

    @property
    def raw_key(self) -> bytes | None:
        return str(self.key).encode() if isinstance(self.key, int) else self.key


def new_name(what: str = "log") -> str:
    return f"{what}-{secrets.token_hex(6)}"


def connection(address: str, timeout_seconds: float = 30.0) -> KafkaConnection:
    return KafkaConnection((address,), timeout_seconds=timeout_seconds)


def open_log(address: str, *topics: str, timeout_seconds: float = 30.0) -> MutationLog:
    return MutationLog(connection(address, timeout_seconds), topics)


def create(address: str, topic: str, partitions: int = 3, **settings: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=address)
    try:
        configs = {name.replace("_", "."): value for name, value in settings.items()}
        admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=configs)])
    finally:
        admin.close()


def produce(address: str, messages: Iterable[Message], **options: object) -> None:
    """Write messages in this order; each partition keeps it.

    One record per batch unless told otherwise: the embedded broker's end offset counts the last batch of a
    partition as one record.
    """
    producer = KafkaProducer(bootstrap_servers=address, acks="all", **({"batch_size": 0} | options))
    try:
        sent = []
        for message in messages:
            # Kafka's own time is never before the key's, and most tests tell the past.
            time_ms = message.key // 1_000_000 + 1 if isinstance(message.key, int) else None
            sent.append(
                producer.send(
                    message.topic,
                    message.value,
                    key=message.raw_key,
                    partition=message.partition,
                    timestamp_ms=time_ms,
                )
            )
        producer.flush()
        for future in sent:
            future.get(30)
    finally:
        producer.close()


def drop_before(address: str, offsets: dict[tuple[str, int], int]) -> None:
    """What retention does: remove the records before these offsets."""
    admin = KafkaAdminClient(bootstrap_servers=address)
    try:
        admin.delete_records({TopicPartition(*place): offset for place, offset in offsets.items()})
    finally:
        admin.close()


def delete(address: str, topic: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=address)
    try:
        admin.delete_topics([topic])
    finally:
        admin.close()
