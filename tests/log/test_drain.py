"""The mutation log on a broker: a real Kafka, and the embedded one where that knows as much."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.errors import KafkaError

from dvid_sandbox.broker import EmbeddedBroker, broker_binary
from dvidsync_dagster.errors import BrokerUnreachable, ConfigurationError, LogGap, LogRecreated
from dvidsync_dagster.log.checkpoint import PartitionPosition, Positions
from dvidsync_dagster.log.chunk import LogChunk
from dvidsync_dagster.log.drain import MutationLog
from tests import recordings
from tests.log.kafka_topics import (
    BASE,
    SECOND,
    Message,
    create,
    delete,
    drop_before,
    new_name,
    open_log,
    produce,
)
from tests.real_kafka import RealKafka

NOON = BASE  # any moment
LATEST = BASE + 10**9 * SECOND


@pytest.fixture(params=[pytest.param("real", marks=pytest.mark.kafka), "embedded"])
def address(request: pytest.FixtureRequest) -> str:
    """A broker's address: what can be told of both brokers is told of both."""
    broker: RealKafka | EmbeddedBroker = request.getfixturevalue(
        "real_kafka" if request.param == "real" else "embedded_broker"
    )
    return broker.address


@pytest.fixture(scope="module")
def embedded_broker() -> Iterator[EmbeddedBroker]:
    try:
        broker_binary()
    except ConfigurationError as error:
        pytest.skip(str(error))
    with EmbeddedBroker.start() as broker:
        yield broker


def chunks(log: MutationLog, start: Positions, **options: Any) -> list[LogChunk]:
    return list(log.chunks(start, **({"cut_key": LATEST, "chunk_records": 100} | options)))


def values(read: Iterable[LogChunk]) -> list[bytes]:
    return [record.value or b"" for chunk in read for record in chunk.records]


def disordered(topics: list[str], count: int, seed: int) -> list[Message]:
    """Messages a tenth of a second apart, up to five seconds out of order, over three partitions each."""
    rng = random.Random(seed)
    messages = [
        Message(rng.choice(topics), rng.randrange(3), BASE + number * SECOND // 10, b"%d" % number)
        for number in range(count)
    ]
    return sorted(messages, key=lambda message: int(message.raw_key or b"") + rng.randrange(5 * SECOND))


def test_many_partitions_are_one_sequence(address: str) -> None:
    topics = [new_name(), new_name()]
    produce(address, disordered(topics, 2_000, seed=1))
    with open_log(address, *topics) as log:
        read = chunks(log, {}, chunk_records=300)
        assert values(read) == [b"%d" % number for number in range(2_000)]
        assert [len(chunk.records) for chunk in read] == [300] * 6 + [200]
        assert [chunk.behind for chunk in read] == [1_700, 1_400, 1_100, 800, 500, 200, 0]
        assert log.positions() == log.end()


def test_recorded_traffic_comes_in_order_of_its_keys(address: str) -> None:
    recording = recordings.proofreading
    names = {topic: new_name() for topic in {record["topic"] for record in recording.kafka}}
    in_partitions = sorted(recording.kafka, key=lambda r: (r["topic"], r["partition"], r["offset"]))
    produce(
        address,
        [
            Message(names[r["topic"]], r["partition"], int(r["key"]), r["value"].encode())
            for r in in_partitions
        ],
    )
    with open_log(address, *names.values()) as log:
        assert values(chunks(log, {})) == [record["value"].encode() for record in recording.kafka]


def test_a_cut_in_time_is_resumed_exactly(address: str) -> None:
    topic = new_name()
    produce(address, disordered([topic], 900, seed=2))
    seen: list[bytes] = []
    positions: Positions = {}
    saw_ranges = False
    for second in (20, 20, 45, 90):
        with open_log(address, topic) as log:
            log.check(positions)
            read = chunks(log, positions, cut_key=BASE + second * SECOND - 1, chunk_records=70)
            positions = log.positions()
        seen += values(read)
        assert len(seen) == second * 10
        after = [int(record.value or b"") for record in read[-1].lookahead]
        assert after == sorted(after)
        assert not after or after[0] >= second * 10
        saw_ranges |= any(position.beyond for position in positions[topic].values())
    assert seen == [b"%d" % number for number in range(900)]
    assert saw_ranges, "the cut fell on one offset of every partition: the test proves nothing"


def test_what_was_left_unapplied_comes_again_and_nothing_else(address: str) -> None:
    topic = new_name()
    produce(address, disordered([topic], 300, seed=3))
    with open_log(address, topic) as log:
        (chunk,) = chunks(log, {}, chunk_records=1_000)
        left_out = [chunk.records[place] for place in (5, 6, 150, 299)]
        positions = log.positions(record.origin for record in left_out)
        assert values(chunks(log, positions)) == [record.value for record in left_out]
        assert log.positions() == log.end()


@pytest.mark.kafka
@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_batches(real_kafka: RealKafka, codec: str) -> None:
    topic = new_name()
    messages = [Message(topic, number % 3, BASE + number, b"%d" % number * 20) for number in range(500)]
    produce(real_kafka.address, messages, compression_type=codec, batch_size=1 << 14, linger_ms=100)
    with open_log(real_kafka.address, topic) as log:
        assert values(chunks(log, {})) == [message.value for message in messages]


@pytest.mark.kafka
def test_a_message_of_100_mb(real_kafka: RealKafka) -> None:
    """More than kafka-python takes by itself."""
    topic, sizes = new_name(), [1, 100_000_100, 2]
    create(real_kafka.address, topic, max_message_bytes="104000000")
    messages = [Message(topic, 0, BASE + number, bytes(size)) for number, size in enumerate(sizes)]
    produce(real_kafka.address, messages, max_request_size=104_000_000)
    with open_log(real_kafka.address, topic, timeout_seconds=5) as log:
        assert [len(value) for value in values(chunks(log, {}))] == sizes


@pytest.mark.kafka
def test_beginning_end_and_a_moment(real_kafka: RealKafka) -> None:
    topic, empty, missing = new_name(), new_name(), new_name()
    create(real_kafka.address, empty)
    produce(real_kafka.address, [Message(topic, n % 3, BASE + n * SECOND, b"%d" % n) for n in range(30)])
    drop_before(real_kafka.address, {(topic, 1): 4})
    nothing = {partition: PartitionPosition(0) for partition in range(3)}
    with open_log(real_kafka.address, topic, empty, missing) as log:
        beginning, end, moment = log.beginning(), log.end(), log.at(BASE + 20 * SECOND)
        assert beginning == {topic: {**nothing, 1: PartitionPosition(4)}, empty: nothing}
        assert end == {topic: {partition: PartitionPosition(10) for partition in range(3)}, empty: nothing}
        assert moment == {
            topic: {0: PartitionPosition(7), 1: PartitionPosition(7), 2: PartitionPosition(6)},
            empty: nothing,
        }
        read = chunks(log, moment, from_key=BASE + 20 * SECOND)
        assert values(read) == [b"%d" % number for number in range(20, 30)]
        assert log.at(LATEST) == end


def test_a_moment_is_a_start_that_misses_nothing(address: str) -> None:
    topic = new_name()
    produce(address, [Message(topic, n % 2, BASE + n * SECOND, b"%d" % n) for n in range(30)])
    with open_log(address, topic) as log:
        moment = log.at(BASE + 20 * SECOND)
        read = chunks(log, moment, from_key=BASE + 20 * SECOND)
        assert values(read) == [b"%d" % number for number in range(20, 30)]
        assert log.at(0) == log.beginning()


def test_a_broker_that_forgot_everything_is_told() -> None:
    topic = new_name()
    try:
        broker_binary()
    except ConfigurationError as error:
        pytest.skip(str(error))
    with EmbeddedBroker.start() as broker:
        produce(broker.address, [Message(topic, 1, BASE, b"0")])
        with open_log(broker.address, topic) as log:
            chunks(log, {})
            positions = log.positions()
        broker.kill()
        with (
            EmbeddedBroker.start(broker.port) as again,
            open_log(again.address, topic) as log,
            pytest.raises(LogRecreated, match="partition 1 ends at offset 0, but offset 1"),
        ):
            log.check(positions)


@pytest.mark.kafka
def test_a_topic_that_was_made_again_is_told_by_its_id(real_kafka: RealKafka) -> None:
    """With as many records as were read, offsets say nothing."""
    topic, other = new_name(), new_name()
    messages = [Message(name, 0, BASE + number, b"") for name in (topic, other) for number in range(3)]
    produce(real_kafka.address, messages)
    with open_log(real_kafka.address, topic, other) as log:
        ids, positions = log.ids(), log.end()
        assert set(ids) == {topic, other}
        log.check(positions, NOON, ids)
    delete(real_kafka.address, topic)
    _create_again(real_kafka.address, topic)
    produce(real_kafka.address, [message for message in messages if message.topic == topic])
    with open_log(real_kafka.address, topic, other) as log:
        with pytest.raises(LogRecreated, match=f"{topic} has the id .*up to 2026"):
            log.check(positions, NOON, ids)
        log.check(positions, NOON, {other: ids[other]})


def test_an_id_of_a_topic_stays(address: str) -> None:
    topic, missing = new_name(), new_name()
    produce(address, [Message(topic, 0, BASE, b"")])
    with open_log(address, topic, missing) as log:
        ids = log.ids()
        assert set(ids) == {topic}
    produce(address, [Message(topic, 1, BASE, b"")])
    with open_log(address, topic, missing) as log:
        assert log.ids() == ids


def test_reading_makes_no_topics(address: str) -> None:
    missing = new_name()
    with open_log(address, missing) as log:
        (chunk,) = chunks(log, {})
        assert chunk.last
        assert log.positions() == {}
    with open_log(address, missing) as log:
        assert log.beginning() == {}


def test_a_topic_born_after_the_checkpoint_is_read_from_its_first_record(address: str) -> None:
    old, born = new_name(), new_name()
    produce(address, [Message(old, 0, BASE, b"0")])
    with open_log(address, old, born) as log:
        chunks(log, {})
        positions = log.positions()
        produce(address, [Message(born, 2, BASE + 1, b"1")])
        log.check(positions)
        assert values(chunks(log, positions)) == [b"1"]


@pytest.mark.kafka
def test_records_dropped_before_they_were_read_are_a_gap(real_kafka: RealKafka) -> None:
    topic = new_name()
    produce(real_kafka.address, [Message(topic, 1, BASE + number, b"%d" % number) for number in range(20)])
    with open_log(real_kafka.address, topic) as log:
        positions = {topic: {1: PartitionPosition(5)}}
        drop_before(real_kafka.address, {(topic, 1): 5})
        log.check(positions)
        drop_before(real_kafka.address, {(topic, 1): 12})
        with pytest.raises(LogGap, match="7 records are no longer on the broker, offsets 5 to 11") as found:
            log.check(positions, NOON)
        assert (found.value.topic, found.value.partition) == (topic, 1)
        assert "up to 2026" in str(found.value)
        with pytest.raises(LogGap):
            log.chunks(positions, cut_key=LATEST, chunk_records=10)
        assert values(chunks(log, {})) == [b"%d" % number for number in range(12, 20)]
        assert log.positions() == log.end()


@pytest.mark.kafka
def test_a_topic_that_the_checkpoint_does_not_know_can_have_a_gap_too(real_kafka: RealKafka) -> None:
    known, born = new_name(), new_name()
    produce(real_kafka.address, [Message(topic, 0, BASE, b"0") for topic in (known, born, born)])
    drop_before(real_kafka.address, {(born, 0): 1})
    with open_log(real_kafka.address, known, born) as log:
        log.check({})
        with pytest.raises(LogGap) as found:
            log.check({known: {0: PartitionPosition(1)}})
        assert (found.value.topic, found.value.wanted, found.value.beginning) == (born, 0, 1)


@pytest.mark.kafka
@pytest.mark.parametrize("position", [PartitionPosition(3), PartitionPosition(0, ((1, 3),))])
def test_a_topic_that_was_made_again_is_told(real_kafka: RealKafka, position: PartitionPosition) -> None:
    topic = new_name()
    produce(real_kafka.address, [Message(topic, 0, BASE + number, b"") for number in range(3)])
    with open_log(real_kafka.address, topic) as log:
        positions = {topic: {0: position}}
        log.check(positions)
        delete(real_kafka.address, topic)
        with pytest.raises(LogRecreated):
            log.check(positions)
    _create_again(real_kafka.address, topic)
    produce(real_kafka.address, [Message(topic, 0, BASE, b"")])
    # As the next run finds it: kafka-python can keep asking for the old topic while it stays connected.
    with (
        open_log(real_kafka.address, topic) as log,
        pytest.raises(LogRecreated, match="ends at offset 1, but offset 3"),
    ):
        log.check(positions, NOON)


def _create_again(address: str, topic: str) -> None:
    for _ in range(50):
        try:
            return create(address, topic)
        except KafkaError:  # the old one is still being deleted
            continue
    raise AssertionError(f"{topic} could not be made again")


@pytest.mark.kafka
def test_records_dropped_while_they_are_read_are_a_gap(real_kafka: RealKafka) -> None:
    topic = new_name()
    filler = b"x" * 100_000
    produce(
        real_kafka.address, [Message(topic, 0, BASE + number * 60 * SECOND, filler) for number in range(200)]
    )
    with open_log(real_kafka.address, topic) as log:
        reading = log.chunks({}, cut_key=LATEST, chunk_records=2)
        next(reading)
        drop_before(real_kafka.address, {(topic, 0): 199})
        with pytest.raises(LogGap):
            list(reading)


@pytest.mark.kafka
def test_holes_that_compaction_and_transactions_leave(real_kafka: RealKafka) -> None:
    topic = new_name()
    create(real_kafka.address, topic)
    producer = KafkaProducer(bootstrap_servers=real_kafka.address, transactional_id=new_name(), acks="all")
    producer.init_transactions()
    for number, is_kept in enumerate([True, False, True, False]):
        producer.begin_transaction()
        for partition in (0, 1):
            key = str(BASE + number).encode()
            producer.send(
                topic,
                b"%d/%d" % (number, partition),
                key=key,
                partition=partition,
                timestamp_ms=BASE // 10**6 + 1,
            )
        producer.flush()
        if is_kept:
            producer.commit_transaction()
        else:
            producer.abort_transaction()
    producer.close()
    with open_log(real_kafka.address, topic) as log:
        read = chunks(log, {})
        assert values(read) == [b"0/0", b"0/1", b"2/0", b"2/1"]
        assert log.positions() == log.end()
        assert log.end()[topic][0].next == 8, "two records kept, two aborted, four markers"
        assert values(chunks(log, log.positions())) == []


def test_the_next_chunk_is_read_meanwhile(address: str) -> None:
    topics = [new_name(), new_name()]
    produce(address, disordered(topics, 2_000, seed=1))
    with open_log(address, *topics) as log:
        read = []
        for chunk in log.chunks({}, cut_key=LATEST, chunk_records=300):
            read.append(chunk)
            applied = log.positions()
            with log.reading_on():
                for thread in threading.enumerate():
                    if thread.name == "read on":
                        thread.join()
            assert log.positions() == applied, "what was only read counts as applied"
        assert values(read) == [b"%d" % number for number in range(2_000)]
        assert log.positions() == log.end()


@pytest.mark.kafka
def test_a_broker_that_goes_away_and_comes_back_loses_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    topic = new_name()
    filler = b"x" * 20_000
    with RealKafka(tmp_path / "kafka") as kafka:
        produce(
            kafka.address,
            [Message(topic, n % 3, BASE + n * 60 * SECOND, b"%d " % n + filler) for n in range(1_000)],
        )
        with open_log(kafka.address, topic, timeout_seconds=3) as log:
            reading = log.chunks({}, cut_key=LATEST, chunk_records=50)
            before = [next(reading)]
            positions = log.positions()
            kafka.kill()
            try:
                for chunk in reading:
                    before.append(chunk)
                    positions = log.positions()
            except BrokerUnreachable as error:
                assert kafka.address in str(error)  # noqa: PT017
        silent = [record for record in caplog.records if record.name == "dvidsync_dagster.log.feed"]
        assert [record.getMessage() for record in silent] == [
            "Kafka has sent no records for 1 s, and holds more. After 3 s the run gives up"
        ]
        with pytest.raises(BrokerUnreachable, match=kafka.address):
            open_log(kafka.address, topic, timeout_seconds=1).__enter__()
        kafka.restart()
        with open_log(kafka.address, topic) as log:
            log.check(positions)
            after = chunks(log, positions)
    numbers = [int(value.split()[0]) for value in values([*before, *after])]
    assert numbers == list(range(1_000))
    assert len(before) < 20, "the broker's death came after the end: the test proves nothing"
