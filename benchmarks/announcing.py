"""A log that tells of what nobody did."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

PATIENCE_MS = 60_000

Record = tuple[int, bytes]
"""The key (ns since 1970), and the value."""


def announce(broker: str, topic: str, records: Iterable[Record]) -> int:
    """Put records into a topic, over its partitions; how many these were.

    The last one of a partition goes alone: the embedded broker tells its end as if only one of the last
    records that came together was there.
    """
    random = Random(3)
    producer = KafkaProducer(
        bootstrap_servers=[broker], acks="all", linger_ms=20, batch_size=1 << 18, max_request_size=1 << 24
    )
    partitions = sorted(producer.partitions_for(topic))
    held: dict[int, Record] = {}
    count = 0

    def send(partition: int, record: Record) -> None:
        key, value = record
        producer.send(topic, value, key=b"%d" % key, partition=partition, timestamp_ms=key // 10**6 + 1)

    for record in records:
        count += 1
        partition = random.choice(partitions)
        if partition in held:
            send(partition, held[partition])
        held[partition] = record
    producer.flush()
    for partition, record in held.items():
        send(partition, record)
        producer.flush()
    producer.close()
    return count


def make_topics(broker: str, topics: Iterable[str]) -> None:
    """DVID can lose the first messages to a topic that is not there (docs/dvid.md, "Lost messages")."""
    producer = KafkaProducer(bootstrap_servers=[broker])
    for topic in topics:
        producer.partitions_for(topic)
    producer.close()


def await_records(broker: str, topics: Iterable[str], count: int) -> None:
    """Wait until so many records with a value are in some topics: a server sends them behind its answers."""
    consumer = KafkaConsumer(bootstrap_servers=[broker], enable_auto_commit=False)
    consumer.topics()
    partitions = [
        TopicPartition(topic, number) for topic in topics for number in consumer.partitions_for_topic(topic)
    ]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    while count > 0:
        found = consumer.poll(timeout_ms=PATIENCE_MS)
        if not found:
            raise RuntimeError(f"{count} records are missing in the log: measure again")
        count -= sum(record.value is not None for records in found.values() for record in records)
    consumer.close()
