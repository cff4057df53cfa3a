"""Feather files, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pyarrow as pa

BATCH_ROWS = 1 << 16

Arrays = Mapping[str, npt.NDArray[Any] | pa.Array]


def write(path: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    """Write a file (version 2 of the format, lz4), which is as large as its batches allow."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_file(path, schema, options=options) as file:
        for batch in batches:
            file.write_batch(batch)


def in_batches(schema: pa.Schema, columns: Arrays, order: npt.NDArray[Any]) -> Iterator[pa.RecordBatch]:
    """Columns of one length as batches, their rows in this order (by index)."""
    for first in range(0, len(order), BATCH_ROWS):
        rows = order[first : first + BATCH_ROWS]
        yield pa.record_batch(
            [_taken(columns[name], rows, schema.field(name).type) for name in schema.names], schema
        )


def _taken(column: npt.NDArray[Any] | pa.Array, rows: npt.NDArray[Any], wanted: pa.DataType) -> pa.Array:
    taken = column.take(rows) if isinstance(column, pa.Array) else pa.array(column[rows])
    return taken.cast(wanted)
