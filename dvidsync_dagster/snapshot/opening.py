"""A Delta table as delta-rs opens it, and its errors as ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder
from deltalake.exceptions import DeltaError, TableNotFoundError
from obstore.exceptions import BaseError

from dvidsync_dagster.errors import SnapshotDamaged
from dvidsync_dagster.snapshot.answers import MISSING, storage_error
from dvidsync_dagster.snapshot.layout import table_folder
from dvidsync_dagster.snapshot.store import Bucket

STORE_ERRORS = (DeltaError, BaseError, pa.ArrowException, OSError)
"""What delta-rs, obstore, pyarrow and the operating system raise."""

_SESSION = {"datafusion.execution.target_partitions": "2"}
"""Each of them holds row groups in memory."""


def found(bucket: Bucket, branch: str, path: str, version: int | None = None) -> DeltaTable | None:
    """A table at a version; without one, at its newest. None if there is none. Raises StorageError."""
    with storage_errors(bucket, branch, path):
        try:
            return DeltaTable(bucket.table_uri(table_folder(branch, path)), version, options(bucket))
        except TableNotFoundError:
            return None


def opened(bucket: Bucket, branch: str, path: str, version: int | None = None) -> DeltaTable:
    """As `found`, of a table that must be there.

    Raises:
        SnapshotDamaged: it is not.
        StorageError.
    """
    delta = found(bucket, branch, path, version)
    if delta is None:
        raise SnapshotDamaged(f"{bucket.uri}/{table_folder(branch, path)}", "there is no such table", MISSING)
    return delta


def options(bucket: Bucket) -> dict[str, str] | None:
    """What delta-rs needs besides a URI."""
    return dict(bucket.storage_options) or None


@contextmanager
def storage_errors(bucket: Bucket, branch: str, path: str) -> Iterator[None]:
    """What goes wrong while a table is read or written becomes a StorageError."""
    try:
        yield
    except STORE_ERRORS as error:
        raise storage_error(f"{bucket.uri}/{table_folder(branch, path)}", error) from None


def query(delta: DeltaTable, sql: str) -> pa.RecordBatchReader:
    """Ask of a table, which is called `here`. The answer is streamed."""
    return pa.RecordBatchReader.from_stream(QueryBuilder(_SESSION).register("here", delta).execute(sql))


def count_rows(delta: DeltaTable) -> int:
    """How many rows a table has. Its log tells; its files are not read."""
    return int(query(delta, "SELECT count(*) FROM here").read_all()[0][0].as_py())


def quoted(name: str) -> str:
    """A column's name in SQL."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'
