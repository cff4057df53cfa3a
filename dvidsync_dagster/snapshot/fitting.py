"""Rows as a table has them. What does not fit is refused, and never changed."""

from __future__ import annotations

import pyarrow as pa
from deltalake import Schema

from dvidsync_dagster.errors import Unfit
from dvidsync_dagster.snapshot.table import Change, Table


def fitted(table: Table, rows: pa.Table) -> pa.Table:
    """Rows with the table's own types.

    Raises:
        Unfit: a value does not fit.
    """
    columns = []
    for field in table.schema:
        try:
            column = rows[field.name].cast(field.type)
            if column.null_count and not field.nullable:
                raise ValueError("it has no value in a row")
        except (pa.ArrowException, KeyError, ValueError) as error:
            raise Unfit(
                table.path,
                f"the column {field.name} does not fit: {error}",
                "Name the instance in `own` of this destination: the snapshot goes on without it.",
            ) from None
        columns.append(column)
    return pa.table(columns, schema=table.schema)


def keys_of(table: Table, change: Change, put: pa.Table) -> pa.Table:
    """The keys of the rows that are put, in their order, then those of the rows that go: each comes once.

    Args:
        put: the change's, fitted.
    """
    keys = put.select(list(table.key))
    if change.gone is not None:
        columns = [change.gone[field.name].cast(field.type) for field in keys.schema]
        keys = pa.concat_tables([keys, pa.table(columns, schema=keys.schema)])
    if len(keys.group_by(list(table.key)).aggregate([])) != len(keys):
        raise ValueError(f"{table.path}: a change has a key twice")
    return keys


def check_types(table: Table) -> None:
    """Raise TypeError if Delta would keep a column as another type, or most readers do not know its type."""
    kept = pa.schema(Schema.from_arrow(table.schema).to_arrow())
    for field in table.schema:
        known = field.type == kept.field(field.name).type
        if pa.types.is_timestamp(field.type):
            known = field.type == pa.timestamp("us", "UTC")
        if not known:
            raise TypeError(f"{table.path}: Delta has no {field.type}, of the column {field.name}")
