"""What the table holds, as a comparison lists it of a server."""

from __future__ import annotations

from collections.abc import Iterator

from dvidsync_dagster.datatypes.keyvalue.key_text import key_of
from dvidsync_dagster.differences.digest import Page, named
from dvidsync_dagster.differences.hashes import hashed
from dvidsync_dagster.dvid.keyvalue import key_bytes
from dvidsync_dagster.snapshot.table import Table, TableRows


def value_pages(rows: TableRows, table: Table) -> Iterator[Page]:
    """Keys with hashes of their values, also of those that are at the source only."""
    for batch in rows.batches(table, ("key", "value", "digest")):
        keys = [key_of(text) for text in batch["key"].to_pylist()]
        contents = zip(batch["value"].to_pylist(), batch["digest"].to_pylist(), strict=True)
        values = [_hash(digest) if value is None else hashed(value) for value, digest in contents]
        yield named(keys, map(key_bytes, keys), values)


def _hash(digest: str) -> int:
    """As `hashed` would give it."""
    return int.from_bytes(bytes.fromhex(digest), "little")
