"""The tables of one branch in a bucket: Delta tables, written by one run at a time.

Every change goes on from the version that this run knows, and from no other. A run that was stopped, and one
that does not know yet that it has lost the bucket, may have written more: what they left is taken back,
unless it is a newer run's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import timedelta

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, TableNotFoundError

from dvidsync_dagster.errors import OwnershipLost, SnapshotDamaged, StorageUnreachable, Unfit
from dvidsync_dagster.snapshot.layout import table_folder
from dvidsync_dagster.snapshot.rows import RowsAt, opened, storage_errors
from dvidsync_dagster.snapshot.store import Bucket
from dvidsync_dagster.snapshot.table import Change, Table, TableRows

_TRIES = 10
"""How often a commit is tried while an earlier run still writes."""
_GONE = "dvidsync_gone"


class DeltaTables:
    """The tables of one branch.

    Args:
        branch: its name.
        app: names this destination in the tables' logs, as ``dvidsync/REPO/DESTINATION``.
        epoch: the run's, as in the bucket's pointer.

    Every method may raise StorageError, and OwnershipLost if a newer run has written to the table.
    """

    def __init__(self, bucket: Bucket, branch: str, *, app: str, epoch: int) -> None:
        self._bucket = bucket
        self._branch = branch
        self._app = app
        self._epoch = epoch
        self._known: dict[str, int] = {}

    def create(self, table: Table, batches: Iterator[pa.RecordBatch]) -> int:
        """A table's first content, in bounded memory. It replaces whatever an interrupted run left.

        Raises:
            Unfit: a row does not fit.
            What `batches` raises.
        """
        raised: list[BaseException] = []
        reader = pa.RecordBatchReader.from_batches(table.schema, _checked(table, batches, raised))
        uri = self._bucket.table_uri(table_folder(self._branch, table.path))
        try:
            with storage_errors(self._bucket, self._branch, table.path):
                write_deltalake(
                    self._newest(table.path) or uri,
                    reader,
                    mode="overwrite",
                    schema_mode="overwrite",
                    description=table.text,
                    configuration=_CONFIGURATION,
                    storage_options=dict(self._bucket.storage_options) or None,
                    commit_properties=self._properties(),
                )
        except Exception:
            if raised:
                raise raised[0] from None
            raise
        self._known[table.path] = opened(self._bucket, self._branch, table.path).version()
        return self._known[table.path]

    def commit(self, table: Table, change: Change, *, at: int, key_ns: int) -> int:
        """Change a table that this run has made or restored; its new version.

        Args:
            at: number of this commit, for the table's log.
            key_ns: up to where in the log (ns since 1970) the change goes.
        """
        if not len(change):
            return self._known[table.path]
        properties = self._properties(at, key_ns)
        write = self._merge if table.key else self._append
        return self._from_known(table.path, lambda delta: write(delta, table, change, properties))

    def restore(self, path: str, version: int) -> int:
        """Go back to a version, if a run left a later one; the version that has its content now."""
        self._known[path] = version
        return self._from_known(path, _nothing)

    def rows(self, versions: Mapping[str, int]) -> TableRows:
        """The tables' rows at these versions, by path."""
        return RowsAt(self._bucket, self._branch, versions)

    def count(self, path: str, version: int) -> int:
        """How many rows a table has at a version."""
        with storage_errors(self._bucket, self._branch, path):
            return opened(self._bucket, self._branch, path, version).count()

    def compact(self, path: str) -> int:
        """Make few files of many small ones; the version that has the same content now."""
        properties = self._properties()

        def rewrite(delta: DeltaTable) -> None:
            delta.optimize.compact(commit_properties=properties)

        return self._from_known(path, rewrite)

    def vacuum(self, path: str, keep: Collection[int], older_than: timedelta) -> int:
        """Delete files that no version needs which is newer, or kept; the version with the same content now.

        Args:
            keep: versions that stay readable, however old they are.
            older_than: for how long readers and writers may need what they have begun with.
        """
        properties = self._properties()
        hours = round(older_than / timedelta(hours=1))

        def clear(delta: DeltaTable) -> None:
            delta.vacuum(
                hours,
                dry_run=False,
                enforce_retention_duration=False,
                full=True,
                keep_versions=sorted(keep),
                commit_properties=properties,
            )

        return self._from_known(path, clear)

    def _from_known(self, path: str, write: Callable[[DeltaTable], None]) -> int:
        """Write on top of the version that this run knows, whatever else there is."""
        for _ in range(_TRIES):
            with storage_errors(self._bucket, self._branch, path):
                delta = opened(self._bucket, self._branch, path)
                try:
                    self._take_back(delta, path)
                    write(delta)
                except CommitFailedError:
                    continue
                self._known[path] = delta.version()
                return self._known[path]
        raise self._contended(path)

    def _take_back(self, delta: DeltaTable, path: str) -> None:
        """Undo what other runs wrote after the known version."""
        known = self._known[path]
        self._refuse_newer(delta, path)
        if delta.version() < known:
            raise SnapshotDamaged(
                self._where(path), f"it is at version {delta.version()}, and had version {known}", "…"
            )
        if delta.version() > known:
            delta.restore(known, commit_properties=self._properties())
            self._known[path] = delta.version()

    def _newest(self, path: str) -> DeltaTable | None:
        try:
            folder = table_folder(self._branch, path)
            delta = DeltaTable(
                self._bucket.table_uri(folder), storage_options=dict(self._bucket.storage_options) or None
            )
        except TableNotFoundError:
            return None
        self._refuse_newer(delta, path)
        return delta

    def _refuse_newer(self, delta: DeltaTable, path: str) -> None:
        newest = delta.transaction_version(f"{self._app}/epoch") or 0
        if newest > self._epoch:
            raise OwnershipLost(
                f"{self._where(path)}: run {newest} has written it, and this is run {self._epoch}."
            )

    def _merge(self, delta: DeltaTable, table: Table, change: Change, properties: CommitProperties) -> None:
        there = pa.array([False] * len(change.put), pa.bool_())
        source = _fitted(table, change.put).append_column(_GONE, there)
        if change.gone is not None and len(change.gone):
            gone = pa.Table.from_pydict(
                {
                    field.name: change.gone[field.name].cast(field.type)
                    if field.name in table.key
                    else pa.nulls(len(change.gone), field.type)
                    for field in table.schema
                }
                | {_GONE: pa.array([True] * len(change.gone))}
            )
            source = pa.concat_tables([_nullable(source), _nullable(gone)])
        (
            delta.merge(
                source,
                " AND ".join(f'here."{name}" = new."{name}"' for name in table.key),
                source_alias="new",
                target_alias="here",
                streamed_exec=False,
                commit_properties=properties,
            )
            .when_matched_delete(f"new.{_GONE}")
            .when_matched_update_all(except_cols=[_GONE])
            .when_not_matched_insert_all(f"NOT new.{_GONE}", except_cols=[_GONE])
            .execute()
        )

    def _append(self, delta: DeltaTable, table: Table, change: Change, properties: CommitProperties) -> None:
        write_deltalake(delta, _fitted(table, change.put), mode="append", commit_properties=properties)

    def _properties(self, at: int | None = None, key_ns: int | None = None) -> CommitProperties:
        transactions = [Transaction(f"{self._app}/epoch", self._epoch)]
        metadata = {"dvidsync.epoch": str(self._epoch)}
        if at is not None:
            transactions.append(Transaction(self._app, at))
        if key_ns is not None:
            metadata["dvidsync.key"] = str(key_ns)
        return CommitProperties(custom_metadata=metadata, max_commit_retries=0, app_transactions=transactions)

    def _where(self, path: str) -> str:
        return f"{self._bucket.uri}/{table_folder(self._branch, path)}"

    def _contended(self, path: str) -> StorageUnreachable:
        return StorageUnreachable(self._where(path), "another run writes it all the time", "Run again later.")


_CONFIGURATION = {
    # A pinned version is read by the log up to it.
    "delta.enableExpiredLogCleanup": "false",
}


def _nothing(_: DeltaTable) -> None:
    """Nothing is written: the table is where it is to be."""


def _checked(
    table: Table, batches: Iterator[pa.RecordBatch], raised: list[BaseException]
) -> Iterator[pa.RecordBatch]:
    """The batches as the table has them. delta-rs tells of an error in them by text alone, so it is kept."""
    try:
        for batch in batches:
            yield from _fitted(table, pa.Table.from_batches([batch])).to_batches()
    except BaseException as error:
        raised.append(error)
        raise


def _fitted(table: Table, rows: pa.Table) -> pa.Table:
    """Rows with the table's own types; a value that does not fit is refused, never changed."""
    try:
        return rows.select(table.schema.names).cast(table.schema)
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise Unfit(table.path, f"a row does not fit: {error}", "…") from None


def _nullable(rows: pa.Table) -> pa.Table:
    return rows.cast(pa.schema([field.with_nullable(True) for field in rows.schema]))
