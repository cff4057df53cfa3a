"""Batches are read as kafka-python reads them, damaged ones too; header names may be any bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaProducer, TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError, KafkaError, UnsupportedCodecError
from kafka.record import MemoryRecords, memory_records
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from dvidsync_dagster.log.kafka_batches import read_batches_in_one_go
from tests.log.kafka_topics import BASE, connection, create, new_name
from tests.real_kafka import RealKafka

Parts = tuple[int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]
"""A record as it is written: time, key, value, headers."""

contents = st.none() | st.binary(max_size=300)
written = st.tuples(
    st.integers(0, 1 << 41),
    contents,
    contents,
    st.lists(st.tuples(st.text(max_size=70), contents), max_size=3) | st.just([]),
)


def batch_of(
    records: Sequence[Parts], *, compression: int = 0, base_offset: int = 0, appended: bool = False
) -> bytearray:
    """A batch as a broker sends it."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=compression,
        is_transactional=False,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 20,
    )
    for place, (time, key, value, headers) in enumerate(records):
        builder.append(place * 90, time, key, value, headers)
    content = bytearray(builder.build())
    content[:8] = base_offset.to_bytes(8, "big")
    if appended:
        content[22] |= DefaultRecordBatch.TIMESTAMP_TYPE_MASK
    return content


def consumed(batch: bytes | bytearray) -> tuple[list[Any], Exception | None]:
    """What a consumer hands over of it, checksums aside, and what it stops at."""
    records: list[Any] = []
    partition = Fetcher.PartitionRecords(
        0, TopicPartition("topic", 0), MemoryRecords(batch), check_crcs=False
    )
    try:
        while partition:
            records += partition.take(2)
    except KafkaError as error:
        return records, error
    return records, None


def as_kafka_python_reads(batch: bytes | bytearray) -> tuple[list[Any], Exception | None]:
    ours = memory_records.DefaultRecordBatch
    memory_records.DefaultRecordBatch = DefaultRecordBatch
    try:
        return consumed(batch)
    finally:
        memory_records.DefaultRecordBatch = ours


def plain(records: Sequence[Any]) -> list[Any]:
    return [record._replace(headers=list(record.headers)) for record in records]


@pytest.fixture(autouse=True, scope="module")
def _in_one_go() -> None:
    read_batches_in_one_go()


@given(
    records=st.lists(written, min_size=1, max_size=5),
    compression=st.sampled_from([0, 1, 2, 3, 4]),
    base_offset=st.integers(0, 1 << 50),
    appended=st.booleans(),
)
def test_a_batch_holds_what_kafka_python_reads_of_it(
    records: list[Parts], compression: int, base_offset: int, appended: bool
) -> None:
    batch = batch_of(records, compression=compression, base_offset=base_offset, appended=appended)
    read, error = consumed(batch)
    theirs, their_error = as_kafka_python_reads(batch)
    assert [error, their_error] == [None, None]
    assert plain(read) == plain(theirs)
    assert [(r.key, r.value, list(r.headers)) for r in read] == [each[1:] for each in records]
    assert [record.offset for record in read] == [base_offset + 90 * n for n in range(len(records))]


@given(
    records=st.lists(written, min_size=1, max_size=3),
    damage=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=3),
    cut=st.integers(0, 20) | st.just(0),
)
def test_a_damaged_batch_is_refused_where_kafka_python_refuses_it(
    records: list[Parts], damage: list[tuple[int, int]], cut: int
) -> None:
    batch = batch_of(records)
    header = DefaultRecordBatch.HEADER_STRUCT.size
    body = len(batch) - header
    for place, byte in damage:
        batch[header + place % body] = byte
    batch = batch[: max(header, len(batch) - cut)]
    batch[8:12] = (len(batch) - DefaultRecordBatch.AFTER_LEN_OFFSET).to_bytes(4, "big")
    read, error = consumed(batch)
    theirs, their_error = as_kafka_python_reads(batch)
    if isinstance(their_error, CorruptRecordError) and "UnicodeDecodeError" in str(their_error):
        assert plain(read)[: len(theirs)] == plain(theirs)
    else:
        assert (plain(read), type(error)) == (plain(theirs), type(their_error))


@pytest.mark.parametrize("compression", [1, 2, 3, 4])
def test_a_batch_that_unpacks_to_too_much_is_one_record_and_what_surrounds_it_is_read(
    compression: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dvidsync_dagster.log.kafka_batches.UNPACKED_BYTES", 500_000)
    large = batch_of([(0, b"1", bytes(300_000), []), (0, b"2", bytes(300_000), [])], compression=compression)
    before, after = (batch_of([(0, b"%d" % place, b"v", [])], base_offset=place) for place in (0, 300))
    large[:8] = (100).to_bytes(8, "big")
    records, error = consumed(before + large + after)
    assert error is None
    assert [record.offset for record in records] == [0, 100, 300]
    assert records[1].key == b"(unpacks to over 500000 bytes)"
    assert records[1].value == bytes(large[DefaultRecordBatch.HEADER_STRUCT.size :])


@pytest.mark.parametrize("compression", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("limit", [1 << 10, 1 << 28])
def test_a_batch_that_cannot_be_unpacked_is_corrupt(
    compression: int, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dvidsync_dagster.log.kafka_batches.UNPACKED_BYTES", limit)
    batch = batch_of([(0, b"1", b"value", [])])
    batch[22] = compression
    records, error = consumed(batch)
    assert records == []
    assert isinstance(error, CorruptRecordError | UnsupportedCodecError)


class Raw(str):
    """A header name that kafka-python sends as bytes that are no UTF-8."""

    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return b"name \xff\xfe"


@pytest.mark.kafka
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
