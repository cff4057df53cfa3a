"""What is committed to a Delta table: all rows, rows by key, more rows, fewer files, columns."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from dvidsync_dagster.errors import SnapshotDamaged, Unfit
from dvidsync_dagster.snapshot.answers import TABLE_ANEW
from dvidsync_dagster.snapshot.columns import commit_columns
from dvidsync_dagster.snapshot.files import Files, opened_file
from dvidsync_dagster.snapshot.fitting import fitted, keys_of
from dvidsync_dagster.snapshot.layout import table_folder
from dvidsync_dagster.snapshot.opening import options
from dvidsync_dagster.snapshot.parquet import CONFIGURATION, FILE, key_in
from dvidsync_dagster.snapshot.rewriting import File, Keys, Rewriting, files_of, in_order, row_groups
from dvidsync_dagster.snapshot.store import Bucket
from dvidsync_dagster.snapshot.table import Change, Column, Table


class Changing:
    """Changes of one branch's tables.

    Each method commits on top of the version at which the table is open, and tells by how many commits.

    `bytes_written` counts what all changes of rows together wrote to files, by the table's path.

    Args:
        branch: its name.
    """

    def __init__(self, bucket: Bucket, branch: str) -> None:
        self.bytes_written: Counter[str] = Counter()
        self._bucket = bucket
        self._branch = branch

    def written(self, table: Table, batches: Iterator[pa.RecordBatch]) -> list[AddAction]:
        """Files with these rows, for `fill`.

        Raises:
            Unfit: a value does not fit.
            What `batches` raises.
        """
        with self._files(table.path, table.schema, table.key) as files:
            for batch in batches:
                files.add(fitted(table, pa.Table.from_batches([batch])))
            return self._counted(table.path, files.finished())

    def fill(
        self, delta: DeltaTable | None, table: Table, written: list[AddAction], properties: CommitProperties
    ) -> int:
        """Make this the whole content, with the table's columns. None: there is no such table yet."""
        if delta is not None:
            commits = _commit(delta, written, [], table.schema, properties, whole=True)
            if delta.metadata().description == table.text:
                return commits
            # It was an instance of another data type.
            delta.alter.set_table_description(table.text, commit_properties=properties)
            return commits + 1
        create_table_with_add_actions(
            self._bucket.table_uri(table_folder(self._branch, table.path)),
            Schema.from_arrow(table.schema),
            written,
            description=table.text,
            configuration=CONFIGURATION,
            storage_options=options(self._bucket),
            commit_properties=properties,
        )
        return 1

    def put(self, delta: DeltaTable, table: Table, change: Change, properties: CommitProperties) -> int:
        """Put and delete rows by the table's key; without one, add rows."""
        schema = _schema(delta)
        rows = _with_all(fitted(table, change.put), schema)
        replaced: Sequence[File] = ()
        with self._files(table.path, schema, table.key) as files:
            if table.key:
                keys = Keys(keys_of(table, change, rows))
                rewriting = Rewriting(self._bucket, self._folder(table.path), rows, keys, files)
                replaced = rewriting.run(files_of(delta, table.key[0]))
            else:
                files.add(rows)
            added = self._counted(table.path, files.finished())
        if not added and not replaced:
            return 0  # what was to go is not there
        return _commit(delta, added, replaced, schema, properties)

    def compact(self, delta: DeltaTable, path: str, properties: CommitProperties) -> int:
        """Make few files of many small ones, with rows in the order of the table's key."""
        small = _small(files_of(delta))
        if len(small) < 2:
            return 0
        with opened_file(self._bucket, f"{self._folder(path)}/{small[0].path}") as file:
            key = key_in(file.metadata)
        if key:
            small = _small(files_of(delta, key[0]))
        schema = _schema(delta)
        names = (f"{self._folder(path)}/{file.path}" for file in small)
        there = (rows for name in names for rows in row_groups(self._bucket, name, schema))
        with self._files(path, schema, key, moved=True) as files:
            for rows in in_order(there, key):
                files.add(rows)
            added = files.finished()
        return _commit(delta, added, small, schema, properties, moved=True)

    def describe(self, delta: DeltaTable, table: Table, properties: CommitProperties) -> int:
        """Give a table the columns that are new, and the texts that are other ones, by one commit.

        Raises:
            Unfit: a column would have another type.
        """
        if delta.protocol().min_reader_version > 1 or delta.metadata().partition_columns:
            raise SnapshotDamaged(
                f"{self._bucket.uri}/{self._folder(table.path)}",
                "another program has changed how the table is kept",
                TABLE_ANEW,
            )
        there = {field.name: field for field in _schema(delta)}
        for field in table.schema:
            if field.name in there and field.type != there[field.name].type:
                raise Unfit(
                    table.path,
                    f"the column {field.name} holds {there[field.name].type}, and {field.type} is to be "
                    f"written",
                    TABLE_ANEW,
                )
        wanted = [_told(there[name], table) for name in there]
        wanted += [field.with_nullable(True) for field in table.schema if field.name not in there]
        schema = pa.schema(wanted)
        if schema.equals(pa.schema(there.values()), check_metadata=True):
            return 0
        commit_columns(self._bucket, self._folder(table.path), delta, schema, properties)
        return 1

    def _counted(self, path: str, written: list[AddAction]) -> list[AddAction]:
        self.bytes_written[path] += sum(each.size for each in written)
        return written

    def _files(self, path: str, schema: pa.Schema, key: Sequence[str], *, moved: bool = False) -> Files:
        return Files(self._bucket, self._folder(path), schema, key, moved=moved)

    def _folder(self, path: str) -> str:
        return table_folder(self._branch, path)


def _small(files: Sequence[File]) -> list[File]:
    return [file for file in files if file.size < FILE // 2]


def _commit(
    delta: DeltaTable,
    added: list[AddAction],
    replaced: Sequence[File],
    schema: pa.Schema,
    properties: CommitProperties,
    *,
    whole: bool = False,
    moved: bool = False,
) -> int:
    """One commit; the table is then open at it.

    Args:
        whole: it replaces all files.
        moved: no row changes.
    """
    now = time.time_ns() // 1_000_000
    removed = [RemoveAction(file.path, not moved, now, file.size, {}) for file in replaced]
    delta.create_write_transaction(
        [*added, *removed],
        "overwrite" if whole else "append",
        Schema.from_arrow(schema),
        commit_properties=properties,
    )
    delta.update_incremental()
    return 1


def _told(field: pa.Field, table: Table) -> pa.Field:
    """A column with the text that it has in a table now."""
    text = next((column.text for column in table.columns if column.name == field.name), None)
    if text is None or Column.of(field).text == text:
        return field
    return field.with_metadata({**(field.metadata or {}), b"comment": text.encode()})


def _with_all(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Rows with all columns that the table has; those that it had once are empty."""
    columns = [
        rows[field.name] if field.name in rows.column_names else pa.nulls(len(rows), field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _schema(delta: DeltaTable) -> pa.Schema:
    return pa.schema(delta.schema().to_arrow())
