"""A gap that the archive covers is read as if the broker still held it."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvidsync_dagster.errors import LogError, LogGap
from dvidsync_dagster.log.archive import LogArchive
from dvidsync_dagster.log.bridge import BridgedFeed
from dvidsync_dagster.log.checkpoint import PartitionPosition, Positions
from dvidsync_dagster.log.drain import MutationLog
from dvidsync_dagster.log.ranges import Range
from dvidsync_dagster.log.reading import LogReading
from dvidsync_dagster.log.record import Partition
from tests.log.kafka_topics import BASE, Message, connection, drop_before, new_name, produce
from tests.log.memory_feed import MemoryFeed, Stored
from tests.log.test_reading import FIRST, REORDER, choices, logs, reading, rows
from tests.real_kafka import RealKafka


def archived(
    log: dict[Partition, list[Stored]], archive: LogArchive, choose: Callable[[int], int], chunk_records: int
) -> None:
    """Keep the whole log, in chunks."""
    pass_, _ = reading(log, choose=choose, chunk_records=chunk_records)
    stored: Positions = {}
    for chunk in pass_.chunks():
        if archive.write(chunk.records, stored, pass_.positions([])) is not None:
            stored = pass_.positions([])


@settings(max_examples=60)
@given(
    logs(disorder=REORDER), choices(), st.integers(1, 9), st.integers(1, 9), st.integers(0, 210), st.data()
)
def test_a_gap_changes_nothing(
    log: dict[Partition, list[Stored]],
    choose: Callable[[int], int],
    archived_records: int,
    chunk_records: int,
    first_cut: int,
    data: st.DataObject,
) -> None:
    ends = {place: max((r.offset + 1 for r in records), default=0) for place, records in log.items()}
    before, _ = reading(log, choose=choose, cut_key=first_cut)
    applied = [row for chunk in before.chunks() for row in rows(chunk)]
    start = before.positions([])
    gaps: dict[Partition, Range] = {}
    for (topic, partition), end in ends.items():
        position = start[topic][partition].next
        beginning = data.draw(st.integers(0, end))
        if position < beginning:
            gaps[topic, partition] = (position, beginning)
    held = {
        place: [record for record in records if record.offset >= gaps.get(place, (0, 0))[1]]
        for place, records in log.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        archive = LogArchive(folder)
        archived(log, archive, choose, archived_records)
        reached = {
            (topic, partition): gaps.get((topic, partition), (0, start[topic][partition].next))[1]
            for topic, partition in log
        }
        feed = BridgedFeed(MemoryFeed(held, ends, reached, choose), archive, gaps, 0)
        after = LogReading(
            feed,
            start,
            ends,
            cut_key=10**18,
            from_key=0,
            now=lambda: 10**18,
            chunk_records=chunk_records,
            chunk_bytes=1 << 20,
            reorder_ns=REORDER,
        )
        found = [row for chunk in after.chunks() for row in rows(chunk)]
    expected = sorted(
        (int(r.key or b""), *place, r.offset) for place, records in log.items() for r in records
    )
    assert found == [row for row in expected if row not in applied]
    assert {(t, p): at for t, ps in after.positions([]).items() for p, at in ps.items()} == {
        place: PartitionPosition(end) for place, end in ends.items()
    }


@pytest.mark.kafka
def test_a_real_gap_is_bridged_only_where_the_archive_holds_all(
    real_kafka: RealKafka, tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "dvidsync_dagster")
    topic = new_name()
    produce(real_kafka.address, [Message(topic, n % 2, BASE + n * 10**9, b"%d" % n) for n in range(40)])
    archive = LogArchive(str(tmp_path_factory.mktemp("archive")))
    plain = MutationLog(connection(real_kafka.address), [topic])
    bridged = MutationLog(connection(real_kafka.address), [topic], archive)
    cut = BASE + 10**18
    with plain, bridged:
        start = {topic: {0: PartitionPosition(2), 1: PartitionPosition(2, ((4, 6),))}}
        for chunk in plain.chunks({}, cut_key=BASE + 25 * 10**9, chunk_records=7):
            archive.write(chunk.records, {}, plain.positions())
        drop_before(real_kafka.address, {(topic, 0): 10, (topic, 1): 8})
        assert bridged.check(start, BASE) == 8 + 4
        values = [r.value for c in bridged.chunks(start, cut_key=cut, chunk_records=5) for r in c.records]
        gone = {0, 2, 1, 3, 9, 11}
        assert values == [b"%d" % n for n in range(40) if n not in gone]
        assert bridged.positions() == bridged.end()
        assert f"has dropped offsets 2 to 9 of {topic}/0" in caplog.text
        with pytest.raises(LogGap, match=r"no longer on the broker, offsets \d+ to \d+\. "):
            plain.check(start)
        drop_before(real_kafka.address, {(topic, 0): 16})
        with pytest.raises(LogGap, match="the archive does not hold them all"):
            bridged.check(start)
        for file in archive.files():
            assert archive.offsets(file)


def test_files_that_vanish_are_an_error(tmp_path_factory: pytest.TempPathFactory) -> None:
    archive = LogArchive(str(tmp_path_factory.mktemp("archive")))
    place = ("a", 0)
    feed = BridgedFeed(MemoryFeed({}, {}, {}, FIRST), archive, {place: (0, 3)}, 0)
    with pytest.raises(LogError, match="lost files"):
        list(feed.poll(()))
