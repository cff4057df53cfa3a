"""The tables of one branch in memory, as strict as those of a bucket; sides fill them and follow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dvidsync_dagster.datatypes.snapshot_side import SnapshotSide
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.snapshot.table import Change, Table

Rows = dict[tuple[Any, ...], dict[str, Any]]
"""Rows by key."""


class MemoryTables:
    """`TableRows`, and what changes them."""

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}
        self.held: dict[str, pa.Table] = {}

    # As a run changes them

    def fill(self, side: SnapshotSide, version: str) -> None:
        for table, batches in side.whole(version):
            self.create(table, batches)

    def follow(self, side: SnapshotSide, events: Sequence[Event], version: str) -> Mapping[str, Change]:
        changes = side.changes(events, version, self)
        for path, change in changes.items():
            self.commit(path, change)
        return changes

    def create(self, table: Table, batches: Iterator[pa.RecordBatch]) -> None:
        self.tables[table.path] = table
        self.held[table.path] = _checked(table, pa.Table.from_batches(list(batches), table.schema))

    def commit(self, path: str, change: Change) -> None:
        table = change.table or self.tables[path]
        if change.anew is not None:
            self.create(table, change.anew)
            return
        before = self.tables[path].columns
        assert [each.name for each in table.columns][: len(before)] == [each.name for each in before]
        assert all(each.nullable for each in table.columns[len(before) :])
        put = _checked(table, change.put)
        gone = change.gone if change.gone is not None else put.slice(0, 0)
        put_keys, gone_keys = _keys(table, put), _keys(table, gone)
        assert len(set(gone_keys)) == len(gone_keys)
        assert not set(put_keys) & set(gone_keys)
        assert set(gone_keys) <= set(_keys(table, self.held[path]))
        away = {*put_keys, *gone_keys}
        held = self.held[path]
        kept = held.filter(pa.array([key not in away for key in _keys(table, held)], pa.bool_()))
        for column in table.columns[len(before) :]:
            kept = kept.append_column(column.name, pa.nulls(len(kept), column.type))
        self.tables[path] = table
        self.held[path] = _checked(table, pa.concat_tables([kept.cast(table.schema), put]))

    # As a side reads them

    def schema(self, table: Table) -> pa.Schema:
        return self.tables[table.path].schema

    def find(self, table: Table, column: str, values: Any) -> pa.Table:
        held = self.held[table.path].select(table.schema.names)
        wanted = pa.array(values, table.schema.field(column).type)
        return held.filter(pc.is_in(held[column], wanted))

    def batches(self, table: Table, columns: tuple[str, ...] | None = None) -> Iterator[pa.RecordBatch]:
        names = list(columns or table.schema.names)
        yield from self.held[table.path].select(names).to_batches(max_chunksize=7)

    # As a test looks at them

    def rows(self, path: str) -> Rows:
        """By key."""
        table = self.tables[path]
        return dict(zip(_keys(table, self.held[path]), self.held[path].to_pylist(), strict=True))


def filled(side: SnapshotSide, version: str) -> MemoryTables:
    """New tables with all of a version."""
    tables = MemoryTables()
    tables.fill(side, version)
    return tables


def _checked(table: Table, rows: pa.Table) -> pa.Table:
    assert rows.schema.equals(table.schema), (rows.schema, table.schema)
    for field in table.schema:
        assert field.nullable or not rows[field.name].null_count, field.name
    keys = _keys(table, rows)
    assert len(set(keys)) == len(keys)
    rows.validate(full=True)
    return rows


def _keys(table: Table, rows: pa.Table) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in rows.select(list(table.key)).to_pylist()]
