"""The archive: what is written is read back by time, once, and known by offset."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvidsync_dagster.errors import ConfigurationError, LogError
from dvidsync_dagster.log.archive import LogArchive
from dvidsync_dagster.log.checkpoint import PartitionPosition, Positions
from dvidsync_dagster.log.ranges import joined, without
from dvidsync_dagster.log.record import Record

HOUR = 3_600_000_000_000
BASE = 1_795_411_076_000_000_000


def chunk(numbers: range, topics: tuple[str, ...] = ("a", "b")) -> list[Record]:
    """One record an hour, the topics in turn; offsets go up by two, as if every other one were a hole."""
    return [
        Record(BASE + n * HOUR, topics[n % len(topics)], 0, n // len(topics) * 2, b"\x00\xff%d" % n)
        for n in numbers
    ]


def upto(a: int, b: int) -> Positions:
    return {"a": {0: PartitionPosition(a)}, "b": {0: PartitionPosition(b)}}


WRITTEN_BY_0_1_0 = Path(__file__).with_name("archive-0.1.0")
"""What version 0.1.0 wrote of `chunk(range(6))`."""


@pytest.fixture
def archive(tmp_path: Path) -> LogArchive:
    return LogArchive(str(tmp_path / "archive"))


def test_a_span_of_keys_is_read_back_as_it_was(archive: LogArchive) -> None:
    whole = chunk(range(12))
    archive.write(whole[:6], upto(0, 0), upto(6, 6))
    archive.write(whole[6:], upto(6, 6), upto(12, 12))
    assert archive.read(0, 2**63 - 1) == whole
    assert archive.read(BASE + 4 * HOUR, BASE + 7 * HOUR) == whole[4:8]


def test_a_table_for_people(archive: LogArchive) -> None:
    whole = chunk(range(6))
    archive.write(whole[:4], upto(0, 0), upto(4, 4))
    archive.write(whole[2:], upto(2, 2), upto(6, 6))
    table = archive.frame(BASE + HOUR)
    assert [*table.columns] == ["time", "key", "topic", "partition", "offset", "value"]
    assert table[["key", "topic", "offset", "value"]].values.tolist() == [
        [record.key_ns, record.topic, record.offset, record.value] for record in whole[1:]
    ]
    assert table["time"][0] == pd.Timestamp(BASE + HOUR, tz="UTC")
    assert [*archive.frame(last_key=1).columns] == [*table.columns]


def test_a_window_is_found_by_name(archive: LogArchive) -> None:
    files = [archive.write(chunk(range(n, n + 3)), upto(n, n), upto(n + 3, n + 3)) for n in (0, 3, 6)]
    assert archive.files() == files
    assert archive.files(BASE + 5 * HOUR, BASE + 6 * HOUR) == files[1:]
    assert archive.files(BASE + 5 * HOUR + 1, BASE + 6 * HOUR - 1) == []
    assert archive.files(last_key=BASE - 1) == []


def test_what_an_older_version_wrote_is_read_and_not_written_again(tmp_path: Path) -> None:
    (old,) = WRITTEN_BY_0_1_0.iterdir()
    shutil.copy(old, tmp_path)
    archive = LogArchive(str(tmp_path))
    assert archive.read(0, 2**63 - 1) == chunk(range(6))
    assert archive.first_offsets(BASE + 2 * HOUR) == {("a", 0): 2, ("b", 0): 2}
    assert archive.covers("a", 0, [(0, 6)])
    written = archive.write(chunk(range(6)), upto(0, 0), upto(6, 6))
    assert written is not None
    assert [path.name for path in tmp_path.iterdir()] == [written.name]


def test_a_file_is_as_older_versions_wrote_it(archive: LogArchive, tmp_path: Path) -> None:
    (old,) = WRITTEN_BY_0_1_0.iterdir()
    file = archive.write(chunk(range(6)), upto(0, 0), upto(6, 6))
    assert file is not None
    new = pq.read_table(tmp_path / "archive" / file.name)
    assert new.schema.equals(pq.read_schema(old), check_metadata=True)
    assert new.equals(pq.read_table(old))


def test_nothing_is_there_before_the_first_write(archive: LogArchive, tmp_path: Path) -> None:
    assert archive.files() == []
    assert archive.read(0, BASE) == []
    assert not archive.covers("a", 0, [(0, 1)])
    assert archive.write(chunk(range(0)), upto(0, 0), upto(1, 0)) is None
    assert not (tmp_path / "archive").exists()


def test_the_same_again_is_the_same_file_and_other_slices_come_once(
    archive: LogArchive, tmp_path: Path
) -> None:
    whole = chunk(range(12))
    first = archive.write(whole[:6], upto(0, 0), upto(6, 6))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "archive").iterdir()}
    assert archive.write(whole[:6], upto(0, 0), upto(6, 6)) == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "archive").iterdir()} == before
    # A run that died started again from another checkpoint and cut its chunks elsewhere.
    archive.write(whole[3:9], upto(3, 3), upto(9, 9))
    archive.write(whole[9:], upto(9, 9), upto(12, 12))
    assert archive.read(0, 2**63 - 1) == whole


def test_a_recreated_topic_has_the_same_offsets_and_other_records(archive: LogArchive) -> None:
    old = chunk(range(4), ("a",))
    new = [record._replace(key_ns=record.key_ns + 100 * HOUR) for record in old]
    archive.write(old, {}, {"a": {0: PartitionPosition(8)}})
    archive.write(new, {}, {"a": {0: PartitionPosition(8)}})
    assert len(archive.read(0, 2**63 - 1)) == 8


def test_a_gap_is_told_to_be_covered(archive: LogArchive) -> None:
    archive.write(chunk(range(6)), upto(0, 0), {"a": {0: PartitionPosition(3, ((5, 9),))}})
    archive.write(
        chunk(range(6, 12)), upto(3, 0), {"a": {0: PartitionPosition(5)}, "b": {0: PartitionPosition(2)}}
    )
    assert archive.covers("a", 0, [(0, 9)])
    assert archive.covers("a", 0, [(4, 7)])
    assert archive.covers("b", 0, [(0, 2)])
    assert archive.covers("b", 0, [(7, 7)])
    assert not archive.covers("a", 0, [(0, 10)])
    assert not archive.covers("b", 0, [(0, 3)])
    assert not archive.covers("a", 1, [(0, 1)])
    assert not archive.covers("a", 0, [(0, 9)], from_key=BASE + 6 * HOUR)


def test_an_unfinished_or_foreign_file_is_not_read(archive: LogArchive, tmp_path: Path) -> None:
    whole = chunk(range(4))
    archive.write(whole, upto(0, 0), upto(4, 4))
    folder = tmp_path / "archive"
    (folder / f".{BASE:019d}-{BASE:019d}-0123456789abcdef.parquet.1.unfinished").write_bytes(b"half")
    (folder / "notes.txt").write_text("mine")
    assert archive.read(0, 2**63 - 1) == whole
    assert archive.covers("a", 0, [(0, 4)])


def test_a_damaged_file_is_named(archive: LogArchive, tmp_path: Path) -> None:
    file = archive.write(chunk(range(4)), upto(0, 0), upto(4, 4))
    assert file is not None
    (tmp_path / "archive" / file.name).write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(LogError, match=file.name):
        archive.read(0, 2**63 - 1)
    with pytest.raises(LogError, match=file.name):
        archive.covers("a", 0, [(0, 1)])


def test_a_parquet_file_of_somebody_else_is_named(archive: LogArchive, tmp_path: Path) -> None:
    file = archive.write(chunk(range(4)), upto(0, 0), upto(4, 4))
    assert file is not None
    path = tmp_path / "archive" / file.name
    pq.write_table(pq.read_table(path).select(["key"]).replace_schema_metadata(), path)
    with pytest.raises(LogError, match=file.name):
        archive.read(0, 2**63 - 1)
    with pytest.raises(LogError, match=file.name):
        archive.covers("a", 0, [(0, 1)])


def test_a_store_that_is_no_folder(tmp_path: Path) -> None:
    """pyarrow's in-memory store stands for an object store."""
    archive = LogArchive("mock:///bucket/log")
    archive.write(chunk(range(4)), upto(0, 0), upto(4, 4))
    assert archive.read(0, 2**63 - 1) == chunk(range(4))
    assert archive.covers("a", 0, [(0, 4)])
    local = LogArchive((tmp_path / "x=1").as_uri())
    local.write(chunk(range(4)), upto(0, 0), upto(4, 4))
    assert local.read(0, 2**63 - 1) == chunk(range(4))


def test_an_unknown_store_is_refused_without_its_login() -> None:
    with pytest.raises(ConfigurationError) as found:
        LogArchive("ftp://user:secret@host/log")
    assert "secret" not in str(found.value)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    archive = LogArchive(str(tmp_path / "file" / "log"))
    with pytest.raises(LogError, match="file/log"):
        archive.write(chunk(range(4)), upto(0, 0), upto(4, 4))


RANGES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=6)


@given(RANGES, RANGES)
def test_ranges_are_sets_of_offsets(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    def offsets(ranges: list[tuple[int, int]]) -> set[int]:
        return {offset for first, last in ranges for offset in range(first, last)}

    assert offsets(joined(one)) == offsets(one)
    assert offsets(without(one, other)) == offsets(one) - offsets(other)
    for tidy in (joined(one), without(one, other)):
        edges = [edge for pair in tidy for edge in pair]
        assert edges == sorted(set(edges))
