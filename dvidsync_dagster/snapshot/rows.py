"""The rows of a branch's tables at given versions, read in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from dvidsync_dagster.snapshot.files import release_unused
from dvidsync_dagster.snapshot.layout import table_folder
from dvidsync_dagster.snapshot.opening import count_rows, opened, query, quoted, storage_errors
from dvidsync_dagster.snapshot.rewriting import File, Keys, files_of, joined, row_groups
from dvidsync_dagster.snapshot.store import Bucket
from dvidsync_dagster.snapshot.table import Table

FILES_AT_ONCE = 2
"""Files that are looked through at the same time. Each takes some row groups of memory."""


class RowsAt:
    """`TableRows` at given versions.

    Args:
        branch: the branch's name.
        versions: Delta's, by the table's path. No other tables are asked for.
        held: tables that are open already, by path; they can move on to other versions.
        errors: makes what goes wrong with a table, by its path, a StorageError or OwnershipLost.

    What is read raises StorageError.
    """

    def __init__(
        self,
        bucket: Bucket,
        branch: str,
        versions: Mapping[str, int],
        held: Mapping[str, DeltaTable] = MappingProxyType({}),
        errors: Callable[[str], AbstractContextManager[None]] | None = None,
    ) -> None:
        self._bucket = bucket
        self._branch = branch
        self._versions = dict(versions)
        self._held = held
        self._errors = errors or partial(storage_errors, bucket, branch)
        self._open: dict[str, DeltaTable] = {}

    def schema(self, table: Table) -> pa.Schema:
        with self._errors(table.path):
            return pa.schema(self._at(table.path).schema().to_arrow())

    def find(self, table: Table, column: str, values: npt.NDArray[Any] | list[Any]) -> pa.Table:
        wanted = _as_type(values, table.schema.field(column).type)
        if not len(wanted):
            return table.schema.empty_table()
        # All rows pass by and are looked up here: thousands of values are too many for delta-rs, where SQL of
        # that length ends in a crash; and the scans of delta-rs and pyarrow took twice the memory.
        keys = Keys(pa.table({column: wanted}))
        with self._errors(table.path):
            files = [file for file in files_of(self._at(table.path), column) if keys.may_be_in(file)]
        folder = table_folder(self._branch, table.path)

        def found_in(file: File) -> list[pa.Table]:
            groups = row_groups(self._bucket, f"{folder}/{file.path}", table.schema)
            # What is looked for is made ready for each part again, so no part is small beside it.
            parts = joined(groups, 8 * wanted.nbytes)
            found = [part.filter(pc.is_in(part[column], wanted)) for part in parts]
            release_unused()
            return found

        with self._errors(table.path), ThreadPoolExecutor(FILES_AT_ONCE) as pool:
            rows = [part for found in pool.map(found_in, files) for part in found]
        return pa.concat_tables([table.schema.empty_table(), *rows])

    def batches(self, table: Table, columns: tuple[str, ...] | None = None) -> Iterator[pa.RecordBatch]:
        names = columns or table.schema.names
        schema = pa.schema([table.schema.field(name) for name in names])
        with self._errors(table.path):
            delta = self._at(table.path)
            there = set(pa.schema(delta.schema().to_arrow()).names)
            # A column that came later is empty before.
            selected = [quoted(name) if name in there else f"NULL AS {quoted(name)}" for name in names]
            for batch in query(delta, f"SELECT {', '.join(selected)} FROM here"):
                yield batch.cast(schema)

    def count(self, path: str) -> int:
        """How many rows a table has. Its log tells; its files are not read."""
        with self._errors(path):
            return count_rows(self._at(path))

    def _at(self, path: str) -> DeltaTable:
        held = self._held.get(path)
        if held is not None and held.version() == self._versions[path]:
            return held
        if path not in self._open:
            self._open[path] = opened(self._bucket, self._branch, path, self._versions[path])
        return self._open[path]


def _as_type(values: npt.NDArray[Any] | list[Any], wanted: pa.DataType) -> pa.Array:
    """As the column's type. What it cannot hold cannot be in the table."""
    if not pa.types.is_integer(wanted):
        return pa.array(values, wanted)
    limits = np.iinfo(str(wanted))
    given = np.asarray(values)
    if given.dtype.kind not in "iu":
        given = np.array([int(each) for each in values], object)
    return pa.array(given[(given >= limits.min) & (given <= limits.max)].astype(limits.dtype), wanted)
