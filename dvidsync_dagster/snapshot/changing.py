"""What is written to a Delta table that is there: rows by key, more rows, more columns."""

from __future__ import annotations

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema, write_deltalake

from dvidsync_dagster.errors import Unfit
from dvidsync_dagster.snapshot.opening import quoted
from dvidsync_dagster.snapshot.parquet import (
    bytes_a_row,
    stored_bytes_a_row,
    writer_properties,
)
from dvidsync_dagster.snapshot.table import Change, Table

_GONE = "dvidsync gone"
"""The column that tells what is deleted from what is put, in what is merged."""


def merge(delta: DeltaTable, table: Table, change: Change, properties: CommitProperties) -> int:
    """Put and delete rows by the table's key; how many commits that took."""
    rows = _rows_by_key(table, change)
    put = {quoted(name): f"new.{quoted(name)}" for name in table.schema.names}
    # What the table had once, and has no more.
    others = set(_schema(delta).names) - set(table.schema.names)
    put |= {quoted(name): "NULL" for name in others}
    (
        delta.merge(
            rows,
            " AND ".join(f"here.{quoted(name)} = new.{quoted(name)}" for name in table.key),
            source_alias="new",
            target_alias="here",
            streamed_exec=False,  # so that files are left out by the least and the greatest key
            writer_properties=writer_properties(
                table.schema, max(bytes_a_row(change.put), stored_bytes_a_row(delta))
            ),
            commit_properties=properties,
        )
        .when_matched_delete(f"new.{quoted(_GONE)}")
        .when_matched_update(put)
        .when_not_matched_insert(put, f"NOT new.{quoted(_GONE)}")
        .execute()
    )
    return 1


def append(delta: DeltaTable, table: Table, change: Change, properties: CommitProperties) -> int:
    """Add rows; how many commits that took."""
    write_deltalake(
        delta,
        fitted(table, change.put),
        mode="append",
        writer_properties=writer_properties(table.schema, bytes_a_row(change.put)),
        commit_properties=properties,
    )
    return 1


def describe(delta: DeltaTable, table: Table, properties: CommitProperties) -> int:
    """Give a table the columns that are new, and the texts that are other ones; how many commits that took.

    Raises:
        Unfit: a column would have another type.
    """
    there = {field.name: field for field in _schema(delta)}
    for field in table.schema:
        if field.name in there and field.type != there[field.name].type:
            raise Unfit(
                table.path,
                f"the column {field.name} holds {there[field.name].type}, and {field.type} is to be written",
                "Delete the snapshot's folder, and the next run makes it anew.",
            )
    added = [field for field in table.schema if field.name not in there]
    if added:
        fields = [*there.values(), *(field.with_nullable(True) for field in added)]
        write_deltalake(
            delta,
            pa.schema(fields).empty_table(),
            mode="append",
            schema_mode="merge",
            commit_properties=properties,
        )
    told = [
        column
        for column in table.columns
        if column.name in there
        and (there[column.name].metadata or {}).get(b"comment") != column.text.encode()
    ]
    for column in told:
        delta.alter.set_column_metadata(column.name, {"comment": column.text})
    return bool(added) + len(told)


def fitted(table: Table, rows: pa.Table) -> pa.Table:
    """Rows with the table's own types. What does not fit is refused and never changed.

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
                "A table holds whole numbers up to 2^63 - 1. Leave the instance out, or report this.",
            ) from None
        columns.append(column)
    return pa.table(columns, schema=table.schema)


def held_by_delta(table: Table) -> None:
    """Raise TypeError if Delta would keep a column as another type, or readers other than delta-rs cannot."""
    kept = pa.schema(Schema.from_arrow(table.schema).to_arrow())
    for field in table.schema:
        timed = pa.types.is_timestamp(field.type)
        if field.type != kept.field(field.name).type or (timed and field.type.unit != "us"):
            raise TypeError(f"{table.path}: Delta has no {field.type}, of the column {field.name}")


def _rows_by_key(table: Table, change: Change) -> pa.Table:
    """What is put and what is deleted as one table, each key once."""
    put = _with(fitted(table, change.put), gone=False)
    if change.gone is None or not len(change.gone):
        rows = put
    else:
        nothing = pa.nulls(len(change.gone))
        columns = {
            field.name: (change.gone[field.name] if field.name in table.key else nothing).cast(field.type)
            for field in table.schema
        }
        rows = pa.concat_tables([put, _with(pa.table(columns), gone=True)], promote_options="default")
    if len(rows.group_by(list(table.key)).aggregate([])) != len(rows):
        raise ValueError(f"{table.path}: a change has a key twice")
    return rows


def _with(rows: pa.Table, *, gone: bool) -> pa.Table:
    free = rows.cast(pa.schema([field.with_nullable(True).remove_metadata() for field in rows.schema]))
    return free.append_column(_GONE, pa.repeat(gone, len(rows)))


def _schema(delta: DeltaTable) -> pa.Schema:
    return pa.schema(delta.schema().to_arrow())
