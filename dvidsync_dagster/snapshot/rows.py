"""The rows of a snapshot's tables at given versions, read in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from dvidsync_dagster.errors import SnapshotDamaged
from dvidsync_dagster.snapshot.answers import storage_error
from dvidsync_dagster.snapshot.layout import table_folder
from dvidsync_dagster.snapshot.store import Bucket
from dvidsync_dagster.snapshot.table import Table


class RowsAt:
    """`TableRows` at given versions.

    Args:
        branch: the branch's name.
        versions: Delta's, by the table's path. Other tables are not asked for.

    What is read raises StorageError.
    """

    def __init__(self, bucket: Bucket, branch: str, versions: Mapping[str, int]) -> None:
        self._bucket = bucket
        self._branch = branch
        self._versions = dict(versions)
        self._files: dict[str, ds.Dataset] = {}

    def find(self, table: Table, column: str, values: npt.NDArray[Any] | list[Any]) -> pa.Table:
        wanted = _as_type(values, table.schema.field(column).type)
        with self._errors(table):
            found = self._dataset(table).to_table(filter=pc.field(column).isin(wanted))
        return found.cast(table.schema)

    def batches(self, table: Table, columns: tuple[str, ...] | None = None) -> Iterator[pa.RecordBatch]:
        names = list(columns or table.schema.names)
        with self._errors(table):
            yield from self._dataset(table).to_batches(columns=names, batch_readahead=2, fragment_readahead=1)

    def _dataset(self, table: Table) -> ds.Dataset:
        if table.path not in self._files:
            delta = opened(self._bucket, self._branch, table.path, self._versions[table.path])
            self._files[table.path] = delta.to_pyarrow_dataset(schema=table.schema)
        return self._files[table.path]

    @contextmanager
    def _errors(self, table: Table) -> Iterator[None]:
        with storage_errors(self._bucket, self._branch, table.path):
            yield


def opened(bucket: Bucket, branch: str, path: str, version: int | None = None) -> DeltaTable:
    """A table at a version; without one, at its newest. Raises StorageError."""
    folder = table_folder(branch, path)
    try:
        return DeltaTable(bucket.table_uri(folder), version, dict(bucket.storage_options) or None)
    except TableNotFoundError:
        raise SnapshotDamaged(f"{bucket.uri}/{folder}", "there is no such table", "…") from None
    except _ERRORS as error:
        raise storage_error(f"{bucket.uri}/{folder}", error) from None


_ERRORS = (DeltaError, pa.ArrowException, OSError)


@contextmanager
def storage_errors(bucket: Bucket, branch: str, path: str) -> Iterator[None]:
    """What goes wrong inside, while a table is read or written, becomes a StorageError."""
    try:
        yield
    except _ERRORS as error:
        raise storage_error(f"{bucket.uri}/{table_folder(branch, path)}", error) from None


def _as_type(values: npt.NDArray[Any] | list[Any], wanted: pa.DataType) -> pa.Array:
    """As the column's type. What it cannot hold cannot be in the table."""
    if pa.types.is_integer(wanted):
        limits = np.iinfo(wanted.to_pandas_dtype())
        given = np.asarray(values)
        if given.dtype.kind not in "iu":
            given = np.array([int(each) for each in given], object)
        given = given[(given >= limits.min) & (given <= limits.max)]
        return pa.array(given.astype(limits.dtype), wanted)
    return pa.array(values, wanted)
