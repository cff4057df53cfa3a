"""What runs that were stopped, that are late or that fail leave behind, and what is lost in a bucket."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Event, Semaphore

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError

from dvidsync_dagster.errors import OwnershipLost, SnapshotDamaged, StorageUnreachable
from dvidsync_dagster.snapshot.delta import DeltaTables
from dvidsync_dagster.snapshot.pointer import Pointer
from dvidsync_dagster.snapshot.store import Bucket
from dvidsync_dagster.snapshot.table import Change
from tests.snapshot.test_delta import MAPPING, batches, mapped, mapping, tables_at

PATH = MAPPING.path
FOLDER = "master/segmentation/mapping"


def created(tables: DeltaTables, content: dict[int, int]) -> int:
    return tables.create(MAPPING, batches(MAPPING, mapping(content).to_pylist()))


def put(tables: DeltaTables, content: dict[int, int], at: int = 1) -> int:
    return tables.commit(MAPPING, Change(mapping(content)), at=at, key_ns=at)


# Runs that were stopped


def test_what_a_stopped_run_wrote_is_taken_back(tmp_path: Path) -> None:
    stopped = tables_at(tmp_path)
    named = created(stopped, {1: 1, 2: 2})
    put(stopped, {1: 5})
    put(stopped, {3: 3})
    tables = tables_at(tmp_path, epoch=2)
    restored = tables.restore(PATH, named)
    assert restored > named
    assert mapped(tables, restored) == mapped(tables, named) == {1: 1, 2: 2}
    assert mapped(tables, put(tables, {2: 9})) == {1: 1, 2: 9}


def test_a_first_content_that_was_not_named_is_made_again(tmp_path: Path) -> None:
    created(tables_at(tmp_path), {1: 1})
    tables = tables_at(tmp_path, epoch=2)
    assert mapped(tables, created(tables, {2: 2})) == {2: 2}


@pytest.mark.parametrize("log", [None, b"", b'{"commitInfo":{}}\n', b"{"])
def test_a_first_content_that_was_not_written_to_the_end_is_made_again(
    tmp_path: Path, log: bytes | None
) -> None:
    folder = tmp_path / FOLDER
    (folder / "_delta_log").mkdir(parents=True)
    (folder / "part-0.parquet").write_bytes(b"PAR1")
    (folder / "_delta_log/.tmp").write_bytes(b"{")
    if log is not None:
        (folder / "_delta_log/00000000000000000000.json").write_bytes(log)
    tables = tables_at(tmp_path)
    version = created(tables, {2: 2})
    assert mapped(tables, version) == {2: 2}
    assert mapped(tables, put(tables, {3: 3})) == {2: 2, 3: 3}


class Broken(Exception):
    """What ends the rows too early."""


def breaking(after: int) -> Iterator[pa.RecordBatch]:
    yield from mapping({1: 1, 2: 2, 3: 3}).to_batches(max_chunksize=1)[:after]
    raise Broken("the source is gone")


@pytest.mark.parametrize("after", [0, 1, 3])
def test_an_error_in_the_rows_is_raised_as_it_is_and_nothing_is_made(tmp_path: Path, after: int) -> None:
    tables = tables_at(tmp_path)
    with pytest.raises(Broken, match=r"^the source is gone$"):
        tables.create(MAPPING, breaking(after))
    assert not (tmp_path / FOLDER / "_delta_log/00000000000000000000.json").exists()
    version = created(tables, {7: 7})
    with pytest.raises(Broken):
        tables.create(MAPPING, breaking(after))
    assert mapped(tables, tables.restore(PATH, version)) == {7: 7}
    assert tables.restore(PATH, version) == version


# Runs at once


def test_an_older_run_that_goes_on_is_taken_back_and_then_stops(tmp_path: Path) -> None:
    older = tables_at(tmp_path)
    named = created(older, {1: 1})
    newer = tables_at(tmp_path, epoch=2)
    assert newer.restore(PATH, named) == named
    put(older, {1: 66, 2: 66})  # it has not seen yet that it is the older one
    version = put(newer, {3: 3})
    assert mapped(newer, version) == {1: 1, 3: 3}
    attempts: list[Callable[[], int]] = [
        lambda: put(older, {4: 66}),
        lambda: older.restore(PATH, named),
        lambda: created(older, {5: 66}),
        lambda: older.compact(PATH),
        lambda: older.vacuum(PATH, [], timedelta(0)),
    ]
    for attempt in attempts:
        with pytest.raises(OwnershipLost, match=f"{FOLDER}: run 2 has written it, and this is run 1"):
            attempt()
    assert mapped(newer, put(newer, {6: 6})) == {1: 1, 3: 3, 6: 6}


LOOKS: dict[str, Callable[[DeltaTables, int], object]] = {
    "rows": lambda tables, version: list(tables.rows({PATH: version}).batches(MAPPING)),
    "find": lambda tables, version: tables.rows({PATH: version}).find(MAPPING, "sv", [1]),
    "put": lambda tables, _: put(tables, {1: 2}),
    "schema": lambda tables, version: tables.rows({PATH: version}).schema(MAPPING),
    "count": lambda tables, version: tables.count(PATH, version),
    "at": lambda tables, version: tables.at(PATH, version),
}


@pytest.mark.parametrize(
    ("gone", "look"),
    [(".parquet", "rows"), (".parquet", "find"), (".parquet", "put")]
    + [("_delta_log/", look) for look in ("rows", "schema", "count", "at")],
)
def test_an_older_run_that_misses_what_a_newer_one_has_cleared_away_has_lost_the_bucket(
    tmp_path: Path, gone: str, look: str
) -> None:
    bucket = Bucket.at(str(tmp_path))
    Pointer.claimed(bucket, "repo")
    older = tables_at(tmp_path)
    version = created(older, {1: 1})
    if gone != ".parquet":
        older = tables_at(tmp_path)  # it has not opened the table
    bucket.delete([name for name in bucket.names() if gone in name])
    with pytest.raises(SnapshotDamaged):
        LOOKS[look](older, version)
    Pointer.claimed(bucket, "repo")
    with pytest.raises(OwnershipLost, match="run 2 has it, and this is run 1"):
        LOOKS[look](older, version)


def test_a_first_content_that_an_older_run_makes_at_once_is_replaced(tmp_path: Path) -> None:
    older, newer = tables_at(tmp_path), tables_at(tmp_path, epoch=2)
    created(older, {1: 1})
    assert mapped(newer, created(newer, {2: 2})) == {2: 2}
    with pytest.raises(OwnershipLost):
        put(older, {3: 3})


def test_another_destination_in_the_same_folder_is_taken_back_too(tmp_path: Path) -> None:
    """Someone who writes to the table by hand, for instance."""
    tables = tables_at(tmp_path)
    named = created(tables, {1: 1})
    other = DeltaTables(Bucket.at(str(tmp_path)), "master", app="somebody", epoch=99)
    other.restore(PATH, named)
    put(other, {2: 2})
    assert mapped(tables, put(tables, {3: 3})) == {1: 1, 3: 3}


def test_a_first_content_is_made_however_often_somebody_writes_in_between(tmp_path: Path) -> None:
    tables = tables_at(tmp_path)
    created(tables, {1: 1})
    over = Event()

    def somebody() -> int:
        """How often, until it is over."""
        times = 0
        while not over.is_set() or not times:
            with suppress(CommitFailedError):
                write_deltalake(tmp_path / FOLDER, mapping({99: 99}), mode="append")
                times += 1
        return times

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(somebody)
        try:
            for number in range(8):
                version = created(tables, {number: number})
                assert mapped(tables, version) == {number: number}
        finally:
            over.set()
        assert other.result()


def restored(tables: DeltaTables, version: int) -> int:
    """However often somebody writes in between."""
    while True:
        with suppress(StorageUnreachable):
            return tables.restore(PATH, version)


def test_whatever_is_written_in_between_is_taken_back(tmp_path: Path) -> None:
    tables = tables_at(tmp_path)
    model = {number: number for number in range(20)}
    version = created(tables, model)
    over, turns = Event(), Semaphore(0)

    def somebody() -> None:
        while turns.acquire() and not over.is_set():
            with suppress(CommitFailedError):
                write_deltalake(tmp_path / FOLDER, mapping({99: 99}), mode="append")

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(somebody)
        try:
            for number in range(24):
                turns.release(3)
                attempts: list[Callable[[], int]] = [
                    partial(put, tables, {number: -number}, number),
                    partial(tables.compact, PATH),
                    partial(tables.vacuum, PATH, [version], timedelta(0)),
                ]
                try:
                    version = attempts[number % 3]()
                except StorageUnreachable:
                    tables = tables_at(tmp_path, 2 + number)
                    version = restored(tables, version)
                else:
                    model |= {number: -number} if number % 3 == 0 else {}
                assert mapped(tables, version) == model
        finally:
            over.set()
            turns.release()
        other.result()
    assert mapped(tables, put(tables, {1: 1})) == model | {1: 1}


# What is lost


def test_a_table_that_is_gone_is_told_of(tmp_path: Path) -> None:
    tables = tables_at(tmp_path)
    with pytest.raises(
        SnapshotDamaged, match=f"{FOLDER}: the table is gone, and had version 4.*dvidsync repair --apply"
    ):
        tables.restore(PATH, 4)
    with pytest.raises(SnapshotDamaged, match="there is no such table"):
        list(tables.rows({PATH: 0}).batches(MAPPING))


def test_a_table_that_is_older_than_the_pointer_is_told_of(tmp_path: Path) -> None:
    tables = tables_at(tmp_path)
    named = created(tables, {1: 1})
    with pytest.raises(SnapshotDamaged, match=f"the table is at version {named}, and had version 4"):
        tables.restore(PATH, 4)
    with pytest.raises(SnapshotDamaged):
        tables.count(PATH, 4)


def parquet_files(folder: Path) -> list[Path]:
    return sorted((folder / FOLDER).glob("*.parquet"))


def test_a_file_that_is_gone_is_told_of(tmp_path: Path) -> None:
    tables = tables_at(tmp_path)
    named = created(tables, {1: 1})
    [file] = parquet_files(tmp_path)
    put(tables, {1: 2})
    file.unlink()
    at = tables.rows({PATH: named})
    for attempt in (
        lambda: list(at.batches(MAPPING)),
        lambda: at.find(MAPPING, "sv", [1]),
        lambda: tables_at(tmp_path, 2).restore(PATH, named),
    ):
        with pytest.raises(SnapshotDamaged, match=r"\.parquet.* missing.*Bring the object back"):
            attempt()


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1garbagePAR1", os.urandom(300)])
def test_a_file_that_is_another_one_is_told_of(tmp_path: Path, content: bytes) -> None:
    tables = tables_at(tmp_path)
    named = created(tables, {1: 1})
    parquet_files(tmp_path)[0].write_bytes(content)
    with pytest.raises(SnapshotDamaged, match="not what was written"):
        list(tables.rows({PATH: named}).batches(MAPPING))
    with pytest.raises(SnapshotDamaged, match="not what was written"):
        put(tables, {1: 2})


@pytest.mark.parametrize("column", [0, 1])
def test_one_byte_of_a_value_that_is_another_one_is_told_of(tmp_path: Path, column: int) -> None:
    tables = tables_at(tmp_path)
    named = created(tables, {each: each * each for each in range(1000)})
    [file] = parquet_files(tmp_path)
    content = bytearray(file.read_bytes())
    written = pq.read_metadata(file).row_group(0).column(column)
    content[written.data_page_offset + written.total_compressed_size - 1] ^= 1
    file.write_bytes(content)
    attempts: list[Callable[[], object]] = [
        lambda: tables.rows({PATH: named}).find(MAPPING, "sv", [1]),
        lambda: put(tables, {1: 2}),
    ]
    for attempt in attempts:
        with pytest.raises(SnapshotDamaged, match=r"not what was written.*`dvidsync repair --apply` finds"):
            attempt()


def test_a_log_that_is_damaged_is_told_of_and_left_as_it_is(tmp_path: Path) -> None:
    tables = tables_at(tmp_path)
    created(tables, {1: 1})
    put(tables, {2: 2})
    (tmp_path / FOLDER / "_delta_log/00000000000000000001.json").write_bytes(b"{")
    with pytest.raises(SnapshotDamaged, match="not what was written"):
        created(tables_at(tmp_path, 2), {3: 3})
    assert len(list((tmp_path / FOLDER / "_delta_log").iterdir())) == 2


# Maintenance


def test_what_is_kept_stays_readable_and_the_rest_goes(tmp_path: Path) -> None:
    tables = tables_at(tmp_path)
    versions = [created(tables, {0: 0})]
    versions += [put(tables, {0: number, number: number}, number) for number in range(1, 6)]
    assert len(parquet_files(tmp_path)) == 6
    assert tables.vacuum(PATH, [], timedelta(hours=1)) == versions[-1]
    assert len(parquet_files(tmp_path)) == 6
    newest = tables.vacuum(PATH, [versions[1]], timedelta(0))
    assert len(parquet_files(tmp_path)) == 2
    assert mapped(tables, newest) == mapped(tables, versions[-1])
    assert mapped(tables, versions[1]) == {0: 1, 1: 1}
    with pytest.raises(SnapshotDamaged):
        mapped(tables, versions[2])


def test_what_a_stopped_run_left_goes_when_it_is_old(tmp_path: Path) -> None:
    tables = tables_at(tmp_path)
    created(tables, {1: 1})
    for name, hours in (("part-old.parquet", 5), ("part-new.parquet", 0)):
        (tmp_path / FOLDER / name).write_bytes(b"PAR1")
        then = (tmp_path / FOLDER / name).stat().st_mtime - 3600 * hours
        os.utime(tmp_path / FOLDER / name, (then, then))
    tables.vacuum(PATH, [], timedelta(hours=2))
    assert [file.name for file in parquet_files(tmp_path) if len(file.name) < 20] == ["part-new.parquet"]


def test_a_version_that_is_kept_must_be_there(tmp_path: Path) -> None:
    tables = tables_at(tmp_path)
    created(tables, {1: 1})
    with pytest.raises(SnapshotDamaged):
        tables.vacuum(PATH, [7], timedelta(0))


def test_old_versions_are_read_though_the_log_has_many_commits(tmp_path: Path) -> None:
    tables = tables_at(tmp_path)
    first = created(tables, {0: 0})
    for number in range(50):
        newest = put(tables, {number: number}, number)
    assert list((tmp_path / FOLDER / "_delta_log").glob("*.checkpoint.parquet"))
    assert mapped(tables, first) == {0: 0}
    assert mapped(tables, newest) == {number: number for number in range(50)}
    again = tables_at(tmp_path, epoch=2)
    assert mapped(again, again.restore(PATH, first)) == {0: 0}


def test_many_small_files_become_one(tmp_path: Path) -> None:
    tables = tables_at(tmp_path)
    created(tables, {0: 0})
    for number in range(1, 9):
        version = put(tables, {number: number}, number)
    before = mapped(tables, version)
    version = tables.compact(PATH)
    assert mapped(tables, version) == before
    assert len(DeltaTable(tmp_path / FOLDER).file_uris()) == 1
    assert tables.compact(PATH) == version
