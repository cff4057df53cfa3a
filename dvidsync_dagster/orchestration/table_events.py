"""What runs tell Dagster of a snapshot's tables: materializations of their assets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from dvidsync_dagster.errors import StorageError
from dvidsync_dagster.orchestration.followers import Follower
from dvidsync_dagster.orchestration.table_assets import (
    COLUMNS,
    DELTA_VERSION,
    HOLDS,
    IN_SNAPSHOT,
    TABLE,
    URI,
    KnownTable,
    known_tables,
    table_key,
)
from dvidsync_dagster.outgoing_text import counted, escaped, markdown

if TYPE_CHECKING:
    import pyarrow as pa

    from dvidsync_dagster.snapshot.table import TableReport

ROWS = "dagster/row_count"
SIZE = "dagster/size_bytes"
BRANCH = "dvidsync/branch"
BRANCH_VERSION = "dvidsync/branch_version"
ROWS_WRITTEN = "dvidsync/rows_written"
ROWS_DELETED = "dvidsync/rows_deleted"
BYTES_WRITTEN = "dvidsync/bytes_written"
PREVIEW = "dvidsync/preview"

_SHOWN = 60
"""Characters of a value in a preview."""
_COLUMNS = 30
"""Columns of a preview: a neuron can have a thousand fields."""
_TEXT = 300
"""Characters of a column's text."""
_NAMED = 20
"""How many new tables a message names."""


def table_materializations(
    destination: dg.AssetKey, tables: Sequence[TableReport]
) -> Iterator[dg.AssetMaterialization]:
    """One for each table, with what Dagster shows of tables."""
    for each in tables:
        metadata: dict[str, dg.MetadataValue] = {
            COLUMNS: dg.MetadataValue.table_schema(column_schema(each.schema)),
            ROWS: dg.MetadataValue.int(each.rows),
            SIZE: dg.MetadataValue.int(each.size),
            URI: dg.MetadataValue.text(each.uri),
            TABLE: dg.MetadataValue.text(escaped(each.path)),
            HOLDS: dg.MetadataValue.text(escaped(each.text)),
            BRANCH: dg.MetadataValue.text(escaped(each.branch)),
            BRANCH_VERSION: dg.MetadataValue.text(escaped(each.branch_version)),
            DELTA_VERSION: dg.MetadataValue.int(each.version),
            PREVIEW: dg.MetadataValue.md(preview(each.sample)),
        }
        text = "As it stands in the snapshot."
        if each.changed is not None:
            metadata[ROWS_WRITTEN] = dg.MetadataValue.int(each.changed.written)
            metadata[ROWS_DELETED] = dg.MetadataValue.int(each.changed.deleted)
            metadata[BYTES_WRITTEN] = dg.MetadataValue.int(each.changed.bytes_written)
            text = f"{counted(each.changed.written, 'row')} written, {each.changed.deleted:,} deleted."
        yield dg.AssetMaterialization(table_key(destination, each.path), description=text, metadata=metadata)


class TableCatalog:
    """What Dagster knows of the tables of one destination, while a run tells more.

    Args:
        follower: the destination; one that has no tables tells nothing.
        log_event: of the run.
        say: gets a line for people.
    """

    def __init__(
        self,
        instance: dg.DagsterInstance,
        follower: Follower,
        log_event: Callable[[dg.AssetMaterialization], Any],
        say: Callable[[str], Any],
    ) -> None:
        self._follower = follower
        self._log_event = log_event
        self._say = say
        known = known_tables(instance, follower.key) if follower.tables_now is not None else ()
        self._known = {table.key: table for table in known if table.is_in_snapshot}
        self._new: list[str] = []

    def tell(self, tables: Sequence[TableReport]) -> None:
        """What became of these."""
        for told in table_materializations(self._follower.key, tables):
            self._log_event(told)
            table = KnownTable.of(told)
            assert table is not None
            if table.key not in self._known:
                self._new.append(table.path)
            self._known[table.key] = table

    def tell_rest(self) -> None:
        """How each table stands that is not at the version of which Dagster was told: after maintenance or a
        repair, after a run that was killed before it could tell, or in a new instance of Dagster.

        A bucket that does not answer is no failure: the next run tells.
        """
        if self._follower.tables_now is None:
            return
        try:
            now = self._follower.tables_now()
            for path, version in now.versions.items():
                known = self._known.get(table_key(self._follower.key, path))
                if known is None or known.version != version:
                    self.tell([now.report(path)])
        except StorageError as error:
            self._say(f"What the tables hold now is told by the next run: {error}")
            return
        there = {table_key(self._follower.key, path) for path in now.versions}
        for key in list(self._known.keys() - there) if now.versions else ():
            self._log_event(_dropped(self._known.pop(key)))
        if self._new:
            named = ", ".join(sorted(self._new)[:_NAMED])
            more = f" and {len(self._new) - _NAMED:,} more" if len(self._new) > _NAMED else ""
            self._say(_NEW.format(tables=f"{named}{more}"))
            self._new = []


_NEW = (
    "New in Dagster's catalog: {tables}. Load the code location again (Deployment, Reload), and the lineage "
    "shows them too."
)


def _dropped(table: KnownTable) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        table.key,
        description="The snapshot has this table no more. Committed versions that had it still do.",
        metadata={
            COLUMNS: dg.MetadataValue.table_schema(table.columns),
            TABLE: dg.MetadataValue.text(table.path),
            DELTA_VERSION: dg.MetadataValue.int(table.version),
            IN_SNAPSHOT: dg.MetadataValue.bool(False),
        },
    )


def column_schema(schema: pa.Schema) -> dg.TableSchema:
    """The columns with their texts, as Dagster's catalog shows them."""
    from dvidsync_dagster.snapshot.table import Column  # only runs of a bucket need it

    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                escaped(column.name),
                escaped(str(column.type)),
                description=escaped(column.text, _TEXT),
                constraints=dg.TableColumnConstraints(nullable=column.nullable),
            )
            for column in map(Column.of, schema)
        ]
    )


def preview(rows: pa.Table) -> str:
    """Some rows as a Markdown table."""
    shown = rows.select(rows.column_names[:_COLUMNS])
    head = [markdown(name, _SHOWN) for name in shown.column_names]
    body = [[_cell(row[name]) for name in shown.column_names] for row in shown.to_pylist()]
    more = rows.num_columns - shown.num_columns
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *body))
    return table if not more else f"{table}\n\n{counted(more, 'more column')}"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        return counted(len(value), "byte")
    return markdown(_plain(value), _SHOWN)


def _plain(value: Any) -> str:
    """A value as people write it: ``t1, t2``, or ``conf: 0.84, user: amy``."""
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_plain(part)}" for name, part in value.items() if part is not None)
    if isinstance(value, list):
        if value and all(isinstance(each, tuple) for each in value):  # a map's pairs
            return _plain(dict(value))
        between = "; " if any(isinstance(each, dict | list) for each in value) else ", "
        return between.join(map(_plain, value))
    return "" if value is None else str(value)
