"""Header names of any bytes, as Kafka takes them."""

from __future__ import annotations

from typing import Any

import pytest
from kafka import KafkaProducer, TopicPartition

from tests.log.kafka_topics import BASE, connection, create, new_name
from tests.real_kafka import RealKafka

pytestmark = pytest.mark.kafka


class Raw(str):
    """A header name that kafka-python sends as bytes that are no UTF-8."""

    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return b"name \xff\xfe"


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_a_name_that_is_no_utf8_keeps_no_other_record_from_being_read(
    real_kafka: RealKafka, compression: str | None
) -> None:
    topic = new_name()
    create(real_kafka.address, topic, 1)
    producer = KafkaProducer(
        bootstrap_servers=real_kafka.address, linger_ms=500, compression_type=compression
    )
    for number in range(6):
        headers = [(Raw("raw"), b"\x00"), ("plain", b"1")] if number in (2, 3) else [("plain", b"2")]
        producer.send(topic, b"%d" % number, key=b"%d" % (BASE + number), headers=headers)
    producer.flush()
    producer.close()
    with connection(real_kafka.address).consumer() as consumer:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        found: list[Any] = []
        while len(found) < 6:
            found += [record for records in consumer.poll(5000).values() for record in records]
    assert [record.value for record in found] == [b"%d" % number for number in range(6)]
    assert [[name for name, _ in record.headers] for record in found] == [
        ["plain"],
        ["plain"],
        [r"name \xff\xfe", "plain"],
        [r"name \xff\xfe", "plain"],
        ["plain"],
        ["plain"],
    ]
