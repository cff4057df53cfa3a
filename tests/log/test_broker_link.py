"""What lies between a run and the broker: slow links, and addresses that lead nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from dvidsync_dagster.errors import BrokerUnreachable
from tests.log.kafka_topics import BASE, SECOND, Message, new_name, open_log, produce
from tests.log.test_drain import chunks, values
from tests.real_kafka import RealKafka
from tests.slow_link import Link, link

pytestmark = pytest.mark.kafka


@contextmanager
def kafka_behind(way: Link, folder: Path) -> Iterator[RealKafka]:
    """A broker that tells clients to use the link."""
    with RealKafka(folder, port=way.server_port, advertised=way.address) as kafka:
        yield kafka


def test_a_backlog_comes_over_a_link_that_takes_longer_than_the_timeout(tmp_path: Path) -> None:
    """Twelve partitions of a third of a megabyte each."""
    topics = [new_name() for _ in range(4)]
    filler = b"x" * 10_000
    records = [
        Message(topics[n % 4], n // 4 % 3, BASE + n * 60 * SECOND, b"%d " % n + filler) for n in range(400)
    ]
    with link() as way, kafka_behind(way, tmp_path):
        produce(way.address, records)
        way.rate = 1_200_000
        with open_log(way.address, *topics, timeout_seconds=2) as log:
            read = chunks(log, {})
    assert [int(value.split()[0]) for value in values(read)] == list(range(400))


def test_an_address_that_the_broker_advertises_and_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    topic = new_name()
    with ExitStack() as broker:
        with link() as way:
            kafka = broker.enter_context(kafka_behind(way, tmp_path))
            produce(kafka.address, [Message(topic, 0, BASE, b"1")])
        with (
            pytest.raises(BrokerUnreachable, match=rf"{way.address} \(`advertised.listeners`") as found,
            open_log(kafka.address, topic, timeout_seconds=2) as log,
        ):
            log.end()
    assert f"Kafka at {kafka.address} cannot be read" in str(found.value)
