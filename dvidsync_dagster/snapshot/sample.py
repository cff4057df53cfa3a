"""Some rows of a table for people to look at, however large its values are: none is loaded for that."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dvidsync_dagster.outgoing_text import counted
from dvidsync_dagster.snapshot.files import opened_file
from dvidsync_dagster.snapshot.parquet import GROUP
from dvidsync_dagster.snapshot.store import Bucket
from dvidsync_dagster.snapshot.table import SAMPLE

_COLUMN = 4096
"""Bytes of a column of a sample. Of a larger one, each value is cut or only told of."""
_VALUE = 400
"""Bytes of a text that are kept then."""


def sample(rows: pa.Table) -> pa.Table:
    """The first of some rows, apart from the others in memory. What is large in them is text that says so."""
    few = rows.slice(0, SAMPLE)
    return pa.table([_small(column) for column in few.columns], few.column_names)


def stored_sample(bucket: Bucket, folder: str, files: list[str], schema: pa.Schema) -> pa.Table:
    """The same of a table.

    Args:
        files: their names below the table's folder.
        schema: all columns that the table has.

    Raises:
        StorageError.
    """
    if not files:
        return schema.empty_table()
    with opened_file(bucket, f"{folder}/{files[0]}") as file:
        names = [name for name in schema.names if name in file.schema_arrow.names]
        loaded = [name for name in names if _bytes(file.metadata, name) <= GROUP]
        first = next(file.iter_batches(SAMPLE, row_groups=[0], columns=loaded))
        rows = min(SAMPLE, file.metadata.row_group(0).num_rows)
        columns = [
            first[name]
            if name in loaded
            else pa.array(["too large to be shown" if name in names else None] * rows, pa.string())
            for name in schema.names
        ]
    return sample(pa.table(columns, schema.names))


def _bytes(file: pq.FileMetaData, name: str) -> int:
    """Of a column in the first row group, before it was encoded. What is nested has parts."""
    group = file.row_group(0)
    parts = (group.column(number) for number in range(group.num_columns))
    return sum(
        part.total_uncompressed_size for part in parts if f"{part.path_in_schema}.".startswith(f"{name}.")
    )


def _small(column: pa.ChunkedArray) -> pa.Array:
    if column.nbytes <= _COLUMN:
        return column.take(pa.array(range(len(column)), pa.int64())).combine_chunks()
    return pa.array([_told(value) for value in column], pa.string())


def _told(value: Any) -> str | None:
    if not value.is_valid:
        return None
    if pa.types.is_string(value.type):
        text = value.as_buffer()
        start: bytes = text[:_VALUE].to_pybytes()
        return start.decode(errors="ignore") + ("…" if text.size > _VALUE else "")
    if pa.types.is_binary(value.type):
        return counted(value.as_buffer().size, "byte")
    size = pa.array([value]).nbytes
    return str(value.as_py()) if size <= _VALUE else counted(size, "byte")
