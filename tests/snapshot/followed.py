"""A small snapshot that follows a log, written as a destination does it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.snapshot.delta import DeltaTables
from dvidsync_dagster.snapshot.pointer import BranchState, Pin, Pointer, TableState
from dvidsync_dagster.snapshot.points import POINTS, Point, appended, nanoseconds
from dvidsync_dagster.snapshot.store import Bucket
from dvidsync_dagster.snapshot.table import Change, Column, Table

LARGE = 2**62 + 1
"""A label that no float holds."""

MAPPING = Table(
    "segmentation/mapping",
    "One supervoxel.",
    (Column("sv", pa.int64(), "the supervoxel"), Column("body", pa.int64(), "the body that it belongs to")),
    ("sv",),
)
EDITS = Table(
    "segmentation/edits",
    "One supervoxel that came to another body.",
    (
        Column("log_time", pa.timestamp("us", "UTC"), "when, by the source's clock"),
        Column("sv", pa.int64(), "the supervoxel"),
        Column("body_before", pa.int64(), "its body before; none: it was new", nullable=True),
        Column("body_after", pa.int64(), "its body after; none: it was split away", nullable=True),
    ),
)
KEYS = Table(
    "notes",
    "One key.",
    (Column("key", pa.string(), "the key"), Column("value", pa.binary(), "its value")),
    ("key",),
)
TABLES = (MAPPING, EDITS, KEYS)

REPO = "4a12c0e3f0b64d7e9d3d2f1b6a5c4d3e"


def hour(number: int) -> datetime:
    """A time of the log."""
    return datetime(2026, 11, 1, number, tzinfo=UTC)


def day(number: int) -> datetime:
    """A time of the log, too."""
    return datetime(2026, 11, number, tzinfo=UTC)


class Killed(BaseException):
    """The run ends here as if by SIGKILL."""


class Follower:
    """One run after another writes a branch.

    Args:
        tables: of the branch.
        branch: its name.
    """

    def __init__(self, bucket: Bucket, tables: Iterable[Table] = TABLES, branch: str = "master") -> None:
        self.bucket = bucket
        self.tables = {table.path: table for table in tables}
        self.branch = branch
        self._pointer = Pointer.claimed(bucket, REPO)
        self._delta = self._delta_tables()
        self._at = 0

    def new_run(self) -> None:
        """Take over from a run that may have been killed."""
        self._pointer = Pointer.claimed(self.bucket, REPO)
        self._delta = self._delta_tables()
        for path, state in self._pointer.snapshot.branches[self.branch].tables.items():
            self._delta.restore(path, state.version)

    def first(
        self, log_time: datetime, rows: Mapping[str, list[dict[str, Any]]], *, uuid: str = "a" * 32
    ) -> None:
        """The first snapshot."""
        versions = {}
        for path, table in self.tables.items():
            content = pa.Table.from_pylist(rows.get(path, []), table.schema)
            versions[path] = self._delta.create(table, iter(content.to_batches()))
        row = appended(Point(nanoseconds(log_time), uuid, versions)).put
        versions[POINTS.path] = self._delta.create(POINTS, iter(row.to_batches()))
        self._commit(nanoseconds(log_time), uuid, versions, pins={})

    def chunk(
        self,
        log_time: datetime,
        put: Mapping[str, list[dict[str, Any]]],
        *,
        uuid: str = "a" * 32,
        pin: bool = False,
        killed_after: int | None = None,
        more_ns: int = 0,
    ) -> None:
        """Bring a chunk of the log.

        Args:
            put: rows by table.
            pin: the version was committed at the source.
            killed_after: so many tables are written, and no more.
            more_ns: nanoseconds after `log_time`.
        """
        state = self._pointer.snapshot.branches[self.branch]
        versions = {path: table.version for path, table in state.tables.items()}
        changes = [
            (self.tables[path], Change(pa.Table.from_pylist(rows, self.tables[path].schema)))
            for path, rows in put.items()
        ]
        key_ns = nanoseconds(log_time) + more_ns
        for number, (table, change) in enumerate(changes):
            if number == killed_after:
                raise Killed
            versions[table.path] = self._write(table, change, key_ns)
        versions[POINTS.path] = self._write(POINTS, appended(Point(key_ns, uuid, versions)), key_ns)
        if killed_after is not None:
            raise Killed
        pins = {uuid: Pin(branch=self.branch, log_time_ns=key_ns, tables=versions)} if pin else {}
        self._commit(key_ns, uuid, versions, pins)

    def vacuumed(self) -> None:
        """All that no pin and no reader of the newest point needs is deleted."""
        snapshot = self._pointer.snapshot
        state = snapshot.branches[self.branch]
        versions = {}
        for path, table in state.tables.items():
            kept = {pin.tables[path] for pin in snapshot.pins.values() if path in pin.tables}
            versions[path] = self._delta.vacuum(path, kept | {table.version}, older_than=hour(1) - hour(1))
        self._commit(state.log_time_ns, state.uuid, versions, pins={})

    def _write(self, table: Table, change: Change, key_ns: int) -> int:
        self._at += 1
        return self._delta.commit(table, change, at=self._at, key_ns=key_ns)

    def _commit(
        self, log_time_ns: int, uuid: str, versions: Mapping[str, int], pins: Mapping[str, Pin]
    ) -> None:
        snapshot = self._pointer.snapshot
        tables = {
            path: TableState(version=version, rows=self._delta.count(path, version))
            for path, version in versions.items()
        }
        state = BranchState(uuid=uuid, log_time_ns=log_time_ns, tables=tables)
        self._pointer.commit(
            snapshot.model_copy(
                update={
                    "checkpoint": Checkpoint(epoch=snapshot.epoch, key_ns=log_time_ns),
                    "branches": {**snapshot.branches, self.branch: state},
                    "pins": {**snapshot.pins, **pins},
                }
            )
        )

    def _delta_tables(self) -> DeltaTables:
        epoch = self._pointer.snapshot.epoch
        return DeltaTables(self.bucket, self.branch, app=f"dvidsync/{REPO}/cloud", epoch=epoch)
