"""The tables of a branch while a run changes them: what is written, and is no snapshot yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from dvidsync_dagster.snapshot.delta import DeltaTables
from dvidsync_dagster.snapshot.pointer import TableState
from dvidsync_dagster.snapshot.points import POINTS, Point, appended
from dvidsync_dagster.snapshot.reporting import report
from dvidsync_dagster.snapshot.sample import sample
from dvidsync_dagster.snapshot.store import Bucket
from dvidsync_dagster.snapshot.table import Change, RowsChanged, Table, TableReport, TableRows

TABLES_AT_ONCE = 2
"""Tables that are changed at the same time. Each takes some row groups of memory."""


@dataclass(slots=True)
class _Written:
    """What was written to a table since it was reported."""

    table: Table
    rows: int = 0
    deleted: int = 0
    sample: pa.Table | None = None


class BranchTables:
    """The tables of one branch, at the versions that the run has made of them.

    Args:
        branch: its name.
        app: names the destination in the tables' logs.
        epoch: of the run, as in the bucket's pointer.
        states: by path, as the pointer has them.

    Every method may raise StorageError and OwnershipLost.
    """

    def __init__(
        self, bucket: Bucket, branch: str, *, app: str, epoch: int, states: Mapping[str, TableState]
    ) -> None:
        self.commits = 0
        self._bucket = bucket
        self._branch = branch
        self._delta = DeltaTables(bucket, branch, app=app, epoch=epoch)
        # Higher than all numbers of the runs before.
        self._at = epoch << 32
        self._states = {
            path: state.model_copy(update={"version": self._delta.restore(path, state.version)})
            for path, state in states.items()
        }
        self._written: dict[str, _Written] = {}
        self._bytes_told: Counter[str] = Counter()
        self._is_changed = False

    @property
    def states(self) -> dict[str, TableState]:
        """By path; `rows` of those that have changed are those of before until `reports`."""
        return dict(self._states)

    @property
    def versions(self) -> dict[str, int]:
        """Delta's, by path."""
        return {path: state.version for path, state in self._states.items()}

    @property
    def rows(self) -> TableRows:
        """What they hold now."""
        return self._delta.rows(self.versions)

    def create(self, table: Table, batches: Iterator[pa.RecordBatch]) -> None:
        """A table's first content, or another first content."""
        version = self._delta.create(table, batches)
        self.commits += 1
        rows = self._delta.count(table.path, version)
        self._states[table.path] = TableState(version=version, rows=rows)
        self._note(table).rows += rows

    def drop(self, path: str) -> None:
        """The snapshot has a table no more. Its files stay for the points and pins that have it."""
        self._states.pop(path, None)
        self._written.pop(path, None)
        self._is_changed = True

    def change(self, changes: Iterable[tuple[Table, Change]], *, key_ns: int) -> None:
        """Change tables, each of them once.

        Args:
            key_ns: up to where in the log (ns since 1970) the changes go.
        """
        wanted = [(change.table or table, change) for table, change in changes if len(change)]
        numbered = [(number, *each) for number, each in enumerate(wanted, self._at + 1)]
        self._at += len(wanted)
        # Whole contents come while they are read, maybe from another table as it was: so they come first.
        for _, table, change in numbered:
            if change.anew is not None:
                self._changed(table, change, self._delta.create(table, change.anew))
        by_key = [each for each in numbered if each[2].anew is None]

        def committed(each: tuple[int, Table, Change]) -> int:
            number, table, change = each
            return self._delta.commit(table, change, at=number, key_ns=key_ns)

        with ThreadPoolExecutor(TABLES_AT_ONCE) as pool:
            for (_, table, change), version in zip(by_key, pool.map(committed, by_key), strict=True):
                self._changed(table, change, version)

    def _changed(self, table: Table, change: Change, version: int) -> None:
        self.commits += 1
        self._states[table.path] = self._states[table.path].model_copy(update={"version": version})
        written = self._note(table)
        written.table = table
        written.rows += len(change.put)
        written.deleted += len(change.gone) if change.gone is not None else 0
        written.sample = sample(change.put)

    def settle(self, *, log_time_ns: int, uuid: str) -> None:
        """All tables belong together now, at a moment of the log: note that, if any has changed since.

        Args:
            uuid: the branch's newest version then.
        """
        if not self._is_changed:
            return
        change = appended(Point(log_time_ns, uuid, self.versions))
        if POINTS.path in self._states:
            self.change([(POINTS, change)], key_ns=log_time_ns)
        else:
            self.create(POINTS, iter(change.put.to_batches()))
        self._count(POINTS.path)
        self._is_changed = False

    def reports(self, branch_version: str = "") -> list[TableReport]:
        """What became of the tables that have changed since the last time.

        Args:
            branch_version: the branch's newest version now.
        """
        reports = [
            self._report(path, written, branch_version)
            for path, written in self._written.items()
            if path != POINTS.path
        ]
        self._written = {}
        return reports

    def _report(self, path: str, written: _Written, branch_version: str) -> TableReport:
        state = self._count(path)
        bytes_before = self._bytes_told[path]
        self._bytes_told[path] = self._delta.bytes_written(path)
        return report(
            self._bucket,
            self._branch,
            path,
            self._delta.at(path, state.version),
            branch_version=branch_version,
            rows=state.rows,
            text=written.table.text,
            written=written.sample,
            changed=RowsChanged(written.rows, written.deleted, self._bytes_told[path] - bytes_before),
        )

    def _count(self, path: str) -> TableState:
        state = self._states[path]
        rows = self._delta.count(path, state.version)
        self._states[path] = state.model_copy(update={"rows": rows})
        return self._states[path]

    def _note(self, table: Table) -> _Written:
        self._is_changed = True
        return self._written.setdefault(table.path, _Written(table))
