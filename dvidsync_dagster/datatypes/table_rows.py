"""Rows on their way into a table: batches of bounded size, and changes that need not fit into memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from dvidsync_dagster.dvid.patience import MIB
from dvidsync_dagster.snapshot.table import Table, TableRows

ROWS = 5_000
"""Rows in one batch."""

BYTES = 8 * MIB
"""Bytes in one batch, more or less. A larger row goes alone."""

IN_MEMORY = 64 * MIB
"""Bytes of a change that stay in memory."""

_HALF_PAIRS = re.compile(r"[\ud800-\udfff]")

T = TypeVar("T")


def bounded(items: Iterable[T], size: Callable[[T], int]) -> Iterator[list[T]]:
    """Items in lists of at most `ROWS`, of about `BYTES` together.

    Args:
        size: bytes of an item.
    """
    some: list[T] = []
    together = 0
    for item in items:
        here = size(item)
        if some and (len(some) == ROWS or together + here > BYTES):
            yield some
            some, together = [], 0
        some.append(item)
        together += here
    if some:
        yield some


def kept(table: Table, batches: Iterable[pa.RecordBatch]) -> pa.Table:
    """All rows of a change as one table. Of more than `IN_MEMORY` it is a view of a file without a name, and
    the rows are in memory only while they are read."""
    held: list[pa.RecordBatch] = []
    coming = iter(batches)
    size = 0
    for batch in coming:
        held.append(batch)
        size += batch.nbytes
        if size > IN_MEMORY:
            return _in_file(table.schema, chain(held, coming))
    return pa.Table.from_batches(held, table.schema)


def keys(table: Table, rows: Iterable[Sequence[Any]]) -> pa.Table:
    """The key columns of some rows."""
    schema = pa.schema([table.schema.field(name) for name in table.key])
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.table(arrays, schema)


def gone_keys(rows: TableRows, table: Table, missing: Sequence[Any]) -> pa.Table:
    """The rows that are deleted from a table with one key column: those of the missing keys that it has."""
    (name,) = table.key
    field = table.schema.field(name)
    wanted = pa.array(missing, field.type)
    found = [
        pa.record_batch([batch[name].filter(pc.is_in(batch[name], wanted))], pa.schema([field]))
        for batch in (rows.batches(table, (name,)) if missing else ())
    ]
    return pa.Table.from_batches(found, pa.schema([field]))


def whole_pairs(text: str) -> str:
    """A text that UTF-8 can hold: U+FFFD for each half of a surrogate pair, as Go has it."""
    return _HALF_PAIRS.sub("\ufffd", text)


def _in_file(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> pa.Table:
    # The mapping keeps the file's content when its name is gone.
    with TemporaryDirectory(prefix="dvidsync-", ignore_cleanup_errors=True) as folder:
        path = str(Path(folder) / "rows.arrow")
        with pa.ipc.new_file(path, schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
        return pa.ipc.open_file(pa.memory_map(path)).read_all()
