"""How the files of tables are written: small, fast to read, and in pieces that fit into memory."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
from deltalake import ColumnProperties, DeltaTable, WriterProperties

CONFIGURATION = {
    # A version that is pinned is read by the log up to it.
    "delta.enableExpiredLogCleanup": "false",
    # A reader begins at the newest checkpoint of the log, and reads each later commit by itself.
    "delta.checkpointInterval": "10",
    # What a merge touches is written anew, so files are not too large.
    "delta.targetFileSize": str(32 << 20),
}

_GROUP = 32 << 20
"""Bytes of a row group: a reader and a writer hold some of them in memory."""
_MOST, _LEAST = 1 << 20, 16


def writer_properties(schema: pa.Schema, row_bytes: float) -> WriterProperties:
    """How to write rows of about this size.

    Numbers are written as differences: less than half the size, and twice as fast, as labels and times grow.
    """
    numbers = [field.name for field in schema if _is_number(field.type)]
    return WriterProperties(
        compression="ZSTD",
        compression_level=1,
        max_row_group_size=int(min(_MOST, max(_LEAST, _GROUP / max(row_bytes, 1)))),
        column_properties={
            name: ColumnProperties(dictionary_enabled=False, encoding="DELTA_BINARY_PACKED")
            for name in numbers
        },
    )


def bytes_a_row(rows: pa.Table | pa.RecordBatch) -> float:
    return float(rows.nbytes / max(len(rows), 1))


def stored_bytes_a_row(delta: DeltaTable) -> float:
    """As far as the sizes of its files tell, which are compressed: so a few times more."""
    files = pa.table(delta.get_add_actions())
    return float(3 * _sum(files["size_bytes"]) / max(_sum(files["num_records"]), 1))


def _sum(numbers: Iterable[pa.Scalar]) -> int:
    return sum(number.as_py() or 0 for number in numbers)


def _is_number(type_: pa.DataType) -> bool:
    return bool(pa.types.is_integer(type_) or pa.types.is_timestamp(type_) or pa.types.is_date32(type_))
