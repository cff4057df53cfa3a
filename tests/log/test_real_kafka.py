"""The broker that the other tests stand on."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from tests.real_kafka import RealKafka

pytestmark = pytest.mark.kafka


def test_keeps_what_was_written_through_stop_and_kill(tmp_path: Path) -> None:
    topic = f"kept-{secrets.token_hex(4)}"
    with RealKafka.start(tmp_path / "kafka") as kafka:
        address = kafka.address
        for end in (kafka.stop, kafka.kill):
            producer = KafkaProducer(bootstrap_servers=address, acks="all")
            producer.send(topic, b"value", partition=2).get(30)
            producer.close()
            end()
            kafka.restart()
            assert kafka.address == address
        consumer = KafkaConsumer(bootstrap_servers=address, group_id=None)
        assert consumer.partitions_for_topic(topic) == {0, 1, 2}
        partition = TopicPartition(topic, 2)
        assert consumer.end_offsets([partition]) == {partition: 2}
        consumer.close()
