"""The messages that a DVID server published to Kafka."""

from __future__ import annotations

from typing import Any

from kafka import KafkaConsumer, TopicPartition


def published(broker: str, prefix: str, total: int) -> list[dict[str, Any]]:
    """The records of all topics under a prefix, sorted by key; waits until there are `total`."""
    consumer = KafkaConsumer(bootstrap_servers=broker, enable_auto_commit=False, consumer_timeout_ms=10_000)
    try:
        topics = sorted(each for each in consumer.topics() if each.startswith(prefix))
        partitions = [
            TopicPartition(topic, number)
            for topic in topics
            for number in consumer.partitions_for_topic(topic)
        ]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        records: list[dict[str, Any]] = []
        while len(records) < total:
            batch = consumer.poll(timeout_ms=10_000)
            if not batch:
                break
            records += [
                {"topic": each.topic, "key": each.key.decode(), "value": each.value.decode()}
                for listed in batch.values()
                for each in listed
            ]
    finally:
        consumer.close()
    return sorted(records, key=lambda record: int(record["key"]))
