"""The start of a moment by keys, on brokers whose own times are wrong."""

from __future__ import annotations

import time

import pytest

from dvidsync_dagster.log.checkpoint import PartitionPosition
from tests.log.kafka_topics import SECOND, Message, create, new_name, open_log, produce
from tests.real_kafka import RealKafka

HOUR = 3_600 * SECOND


@pytest.mark.kafka
@pytest.mark.parametrize("ahead", [30 * SECOND, 26 * HOUR])
def test_a_broker_whose_clock_is_behind_leaves_no_record_after_the_start_out(
    real_kafka: RealKafka, ahead: int
) -> None:
    """It gives the records its own time, and the source's clock is ahead of it."""
    topic = new_name()
    create(real_kafka.address, topic, 1, message_timestamp_type="LogAppendTime")
    first = time.time_ns() + ahead
    produce(real_kafka.address, [Message(topic, 0, first + n * SECOND, b"%d" % n) for n in range(100)])
    with open_log(real_kafka.address, topic) as log:
        for start in (first - SECOND, first, first + 60 * SECOND):
            begin = log.at(start)
            read = [
                record.value
                for chunk in log.chunks(begin, cut_key=first + HOUR, chunk_records=1_000, from_key=start)
                for record in chunk.records
            ]
            assert read == [b"%d" % n for n in range(100) if first + n * SECOND >= start]


@pytest.mark.kafka
def test_records_that_say_too_much_do_not_hide_others(real_kafka: RealKafka) -> None:
    """A key of the next century, one that is no key, none at all: what comes after them is found."""
    topic = new_name()
    create(real_kafka.address, topic, 1)
    base = time.time_ns() - HOUR
    keys: list[int | bytes | None] = [base, 4_102_444_800 * SECOND, b"x", None, base + 1, base + 100 * SECOND]
    messages = [Message(topic, 0, key, b"v") for key in keys]
    produce(real_kafka.address, messages)
    with open_log(real_kafka.address, topic) as log:
        assert log.at(base + 50 * SECOND)[topic][0].next <= 5
        assert log.at(base + 1)[topic][0].next <= 4
        assert log.at(base) == {topic: {0: PartitionPosition(0)}}
