"""The files of a table, written from rows as they come, and read, in pieces that fit into memory."""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.transaction import AddAction

from dvidsync_dagster.errors import SnapshotDamaged, StorageError
from dvidsync_dagster.snapshot.answers import other_content, storage_error
from dvidsync_dagster.snapshot.opening import STORE_ERRORS
from dvidsync_dagster.snapshot.parquet import FILE, GROUP, GROUP_ROWS, statistics, writer
from dvidsync_dagster.snapshot.store import Bucket


class Files:
    """Files in the making. They are a table's only when a commit names them.

    As a context, it deletes what was written if an error ends it.

    Args:
        folder: the table's.
        key: the table's.
        moved: the rows are the table's already.
    """

    def __init__(
        self, bucket: Bucket, folder: str, schema: pa.Schema, key: Sequence[str], *, moved: bool = False
    ) -> None:
        self._bucket = bucket
        self._folder = folder
        self._schema = schema
        self._key = key
        self._moved = moved
        self._written: list[AddAction] = []
        self._waiting: list[pa.Table] = []
        self._bytes = self._rows = 0
        self._sink = pa.BufferOutputStream()
        self._writer: pq.ParquetWriter | None = None

    def add(self, rows: pa.Table) -> None:
        """Rows of the schema, in order."""
        for piece in _pieces(rows):
            self._waiting.append(piece)
            self._bytes += piece.nbytes
            self._rows += len(piece)
            if self._bytes >= GROUP or self._rows >= GROUP_ROWS:
                self._write_group()

    def cut(self) -> None:
        """What comes next is in another file."""
        self._write_group()
        self._write_file()

    def finished(self) -> list[AddAction]:
        """What a commit adds to the table."""
        self.cut()
        return self._written

    def __enter__(self) -> Files:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            # What the bucket does not let us delete goes with a vacuum.
            with suppress(StorageError):
                self._bucket.delete([f"{self._folder}/{each.path}" for each in self._written])

    def _write_group(self) -> None:
        if not self._waiting:
            return
        if self._writer is None:
            self._writer = writer(self._sink, self._schema, self._key)
        self._writer.write_table(pa.concat_tables(self._waiting), row_group_size=self._rows)
        self._waiting, self._bytes, self._rows = [], 0, 0
        if self._sink.tell() >= FILE:
            self._write_file()

    def _write_file(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        content = self._sink.getvalue()
        name = f"part-{uuid.uuid4()}.parquet"
        self._bucket.write(f"{self._folder}/{name}", memoryview(content).cast("B"))
        self._written.append(
            AddAction(
                path=name,
                size=content.size,
                partition_values={},
                modification_time=time.time_ns() // 1_000_000,
                data_change=not self._moved,
                stats=statistics(pq.read_metadata(pa.BufferReader(content)), self._schema),
            )
        )
        self._sink, self._writer = pa.BufferOutputStream(), None
        del content
        release_unused()


def release_unused() -> None:
    """Give memory back that Arrow keeps for later. It keeps some for each table, in all about a quarter of
    what a run takes."""
    pa.default_memory_pool().release_unused()


@contextmanager
def opened_file(bucket: Bucket, name: str) -> Iterator[pq.ParquetFile]:
    """A file, to read its row groups. What goes wrong meanwhile becomes a StorageError."""
    where = f"{bucket.uri}/{name}"
    try:
        with (
            bucket.opened(name) as source,
            pq.ParquetFile(source, pre_buffer=False, page_checksum_verification=True) as file,
        ):
            yield file
    except STORE_ERRORS as error:
        told = other_content if _is_of_content(error) else storage_error
        raise told(where, error) from None


def is_readable(bucket: Bucket, name: str, columns: Collection[str], rows: int) -> bool:
    """Whether all of a file can be read, and it has this many rows and no other columns than these. Raises
    StorageError."""
    try:
        with opened_file(bucket, name) as file:
            read = [file.read_row_group(number).num_rows for number in range(file.num_row_groups)]
            return sum(read) == rows and set(file.schema_arrow.names) <= set(columns)
    except SnapshotDamaged:
        return False
    finally:
        release_unused()


def _is_of_content(error: BaseException) -> bool:
    """Whether Arrow could not make sense of what it has read; else it is the store that failed, or memory."""
    if isinstance(error, OSError):
        return error.errno is None
    return isinstance(error, pa.ArrowException) and not isinstance(
        error, pa.ArrowMemoryError | pa.ArrowCancelled
    )


def _pieces(rows: pa.Table) -> Iterator[pa.Table]:
    """Rows, cut where they are more than a row group."""
    if not len(rows):
        return
    step = max(1, min(GROUP_ROWS, int(GROUP * len(rows) / max(1, rows.nbytes))))
    for start in range(0, len(rows), step):
        yield rows.slice(start, step)
