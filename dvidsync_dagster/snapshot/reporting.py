"""What is told of a snapshot's tables: how each stands, and what became of it."""

from __future__ import annotations

import pyarrow as pa
from deltalake import DeltaTable

from dvidsync_dagster.snapshot.layout import table_folder
from dvidsync_dagster.snapshot.opening import opened, storage_errors
from dvidsync_dagster.snapshot.pointer import Pointer
from dvidsync_dagster.snapshot.points import POINTS
from dvidsync_dagster.snapshot.rewriting import files_of
from dvidsync_dagster.snapshot.sample import stored_sample
from dvidsync_dagster.snapshot.store import Bucket
from dvidsync_dagster.snapshot.table import RowsChanged, TableReport


def report(
    bucket: Bucket,
    branch: str,
    path: str,
    delta: DeltaTable,
    *,
    branch_version: str,
    rows: int,
    text: str | None = None,
    written: pa.Table | None = None,
    changed: RowsChanged | None = None,
) -> TableReport:
    """A table as it is open.

    Args:
        text: what a row is; None: as the table itself tells.
        written: a sample of the rows that were written.

    Raises:
        StorageError.
    """
    with storage_errors(bucket, branch, path):
        folder = table_folder(branch, path)
        schema = pa.schema(delta.schema().to_arrow())
        files = files_of(delta)
        return TableReport(
            path=path,
            text=delta.metadata().description or "" if text is None else text,
            schema=schema,
            uri=f"{bucket.uri}/{folder}",
            version=delta.version(),
            branch=branch,
            branch_version=branch_version,
            rows=rows,
            size=sum(file.size for file in files),
            sample=written or stored_sample(bucket, folder, [file.path for file in files], schema),
            changed=changed,
        )


class TablesNow:
    """The tables of the newest snapshot of a branch, as readers see them. None, if there is no whole one yet.

    Every method may raise StorageError.
    """

    def __init__(self, bucket: Bucket, branch: str) -> None:
        self._bucket = bucket
        self._branch = branch
        snapshot = Pointer.load(bucket)
        state = snapshot.branches.get(branch) if snapshot is not None else None
        is_whole = snapshot is not None and snapshot.checkpoint is not None
        self._state = state if is_whole else None

    @property
    def versions(self) -> dict[str, int]:
        """Delta's, by path."""
        tables = self._state.tables if self._state is not None else {}
        return {path: table.version for path, table in tables.items() if path != POINTS.path}

    def report(self, path: str) -> TableReport:
        """How one of them stands."""
        if self._state is None:
            raise KeyError(path)
        table = self._state.tables[path]
        return report(
            self._bucket,
            self._branch,
            path,
            opened(self._bucket, self._branch, path, table.version),
            branch_version=self._state.uuid,
            rows=table.rows,
        )
