"""What the table holds, as a comparison lists it of a server."""

from __future__ import annotations

from collections.abc import Iterator

from dvidsync_dagster.datatypes.keyvalue.key_text import key_of
from dvidsync_dagster.differences.digest import Page, hashed, named
from dvidsync_dagster.dvid.keyvalue import key_bytes
from dvidsync_dagster.snapshot.table import Table, TableRows


def value_pages(rows: TableRows, table: Table) -> Iterator[Page]:
    """Keys with hashes of their values. A value that is at the source only counts as another one."""
    for batch in rows.batches(table, ("key", "value")):
        keys = [key_of(text) for text in batch["key"].to_pylist()]
        values = [0 if value is None else hashed(value) for value in batch["value"].to_pylist()]
        yield named(keys, map(key_bytes, keys), values)
