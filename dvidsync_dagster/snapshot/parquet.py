"""How the files of tables are written: small, fast to read, and in pieces that fit into memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

CONFIGURATION = {
    # A version that is pinned is read by the log up to it, which other programs may clean up by these two.
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 36500 days",
    # When a file was replaced is known as long as anybody may ask to keep it: maintenance decides by that.
    "delta.deletedFileRetentionDuration": "interval 36500 days",
    # A reader begins at the newest checkpoint of the log, and reads each later commit by itself.
    "delta.checkpointInterval": "10",
}

GROUP = 8 << 20
"""Bytes of a row group before it is encoded: readers and writers hold some of them in memory."""
GROUP_ROWS = 1 << 16
FILE = 14 << 20
"""Bytes of a file at which the next one begins. What a change touches is written anew, so it is not large."""

_STATISTICS = 256
"""Characters of texts that are told in statistics."""


_KEY = b"dvidsync.key"


def writer(sink: pa.NativeFile, schema: pa.Schema, key: Sequence[str]) -> pq.ParquetWriter:
    """Numbers are written as differences: less than half the size, and twice as fast. Each page has its
    checksum: without it, most damaged bytes are read as other values.

    Args:
        key: the table's. The file tells it to who reads it without more.
    """
    numbers = [field.name for field in schema if _is_number(field.type)]
    return pq.ParquetWriter(
        sink,
        schema.with_metadata({_KEY: json.dumps(list(key))}),
        compression="zstd",
        compression_level=1,
        use_dictionary=[field.name for field in schema if pa.types.is_string(field.type)],
        column_encoding=dict.fromkeys(numbers, "DELTA_BINARY_PACKED"),
        write_page_checksum=True,
    )


def key_in(written: pq.FileMetaData) -> list[str]:
    """The key of the table that a file is of."""
    told: list[str] = json.loads((written.metadata or {}).get(_KEY, b"[]"))
    return told


def statistics(written: pq.FileMetaData, schema: pa.Schema) -> str:
    """Of a file, as Delta's log keeps them: readers leave out files by them."""
    least: dict[str, Any] = {}
    most: dict[str, Any] = {}
    nulls: dict[str, int] = {}
    for field in schema:
        limits = _limits(written, field)
        if limits is not None:
            least[field.name], most[field.name], nulls[field.name] = limits
    return json.dumps(
        {"numRecords": written.num_rows, "minValues": least, "maxValues": most, "nullCount": nulls}
    )


def _limits(written: pq.FileMetaData, field: pa.Field) -> tuple[Any, Any, int] | None:
    """The least and the greatest value, and how many are missing; None where the file does not tell."""
    timed = pa.types.is_timestamp(field.type)
    if not (timed or pa.types.is_integer(field.type) or pa.types.is_string(field.type)):
        return None
    told = list(_told(written, field.name))
    known = [each for each in told if each is not None and each.has_min_max]
    if not known or any(each is None or (each.num_values and not each.has_min_max) for each in told):
        return None
    least, most = min(each.min for each in known), max(each.max for each in known)
    nulls = sum(each.null_count for each in told)
    if timed:
        # Readers know milliseconds there.
        return _text(least), _text(most + timedelta(microseconds=999)), nulls
    if isinstance(least, str) and len(least) + len(most) > _STATISTICS:
        return None
    return least, most, nulls


def _told(written: pq.FileMetaData, name: str) -> Iterator[Any]:
    """A column's statistics in each row group."""
    group = written.row_group(0)
    number = next(i for i in range(group.num_columns) if group.column(i).path_in_schema == name)
    for index in range(written.num_row_groups):
        yield written.row_group(index).column(number).statistics


def _text(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03d}Z"


def _is_number(type_: pa.DataType) -> bool:
    return bool(pa.types.is_integer(type_) or pa.types.is_timestamp(type_) or pa.types.is_date32(type_))
