"""The tables of a snapshot, as assets below their destination's: what a chunk made of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
import pyarrow as pa

from dvidsync_dagster.outgoing_text import escaped
from dvidsync_dagster.snapshot.table import Column, TableReport

_SHOWN = 200
"""Characters of a value in a preview."""


def table_key(destination: dg.AssetKey, path: str) -> dg.AssetKey:
    """The asset of a table, such as ``neu3/cloud/segmentation/mapping``."""
    return dg.AssetKey([*destination.path, *path.split("/")])


def table_materializations(
    destination: dg.AssetKey, tables: Sequence[TableReport]
) -> Iterator[dg.AssetMaterialization]:
    """One for each table that changed, with what Dagster shows of tables."""
    for each in tables:
        yield dg.AssetMaterialization(
            table_key(destination, each.table.path),
            description=each.table.text,
            metadata={
                "dagster/column_schema": dg.MetadataValue.table_schema(column_schema(each.table.schema)),
                "dagster/row_count": dg.MetadataValue.int(each.rows),
                "dagster/uri": dg.MetadataValue.text(each.uri),
                "dvidsync/delta_version": dg.MetadataValue.int(each.version),
                "dvidsync/rows_written": dg.MetadataValue.int(each.written),
                "dvidsync/rows_deleted": dg.MetadataValue.int(each.deleted),
                "dvidsync/preview": _preview(each.sample),
            },
        )


def column_schema(schema: pa.Schema) -> dg.TableSchema:
    """The columns with their texts, as Dagster's catalog shows them."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                str(column.type),
                description=column.text,
                constraints=dg.TableColumnConstraints(nullable=column.nullable),
            )
            for column in map(Column.of, schema)
        ]
    )


def _preview(sample: pa.Table) -> dg.TableMetadataValue:
    """Some rows."""
    names = sample.column_names
    return dg.MetadataValue.table(
        [dg.TableRecord({name: _cell(row[name]) for name in names}) for row in sample.to_pylist()],
        schema=dg.TableSchema(columns=[dg.TableColumn(name, "string") for name in names]),
    )


def _cell(value: Any) -> str:
    """Numbers as text: a browser would round labels."""
    return "" if value is None else escaped(value if isinstance(value, str) else str(value), _SHOWN)
