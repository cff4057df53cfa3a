"""The tables of one branch in a bucket: Delta tables, written by one run at a time.

Each change goes on from the version that this run knows, and from no other. A run that was stopped, and one
that does not know yet that it has lost the bucket, may have written more: what they left is taken back,
unless it is a newer run's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_random_exponential

from dvidsync_dagster.errors import (
    Contended,
    DvidSyncError,
    OwnershipLost,
    SnapshotDamaged,
    StorageError,
    StorageRefused,
    StorageUnreachable,
)
from dvidsync_dagster.snapshot.answers import MISSING, storage_error
from dvidsync_dagster.snapshot.changing import Changing
from dvidsync_dagster.snapshot.fitting import check_types
from dvidsync_dagster.snapshot.layout import table_folder
from dvidsync_dagster.snapshot.opening import STORE_ERRORS, found, opened, storage_errors
from dvidsync_dagster.snapshot.pointer import Pointer
from dvidsync_dagster.snapshot.rows import RowsAt
from dvidsync_dagster.snapshot.store import Bucket
from dvidsync_dagster.snapshot.table import Change, Table, TableRows
from dvidsync_dagster.snapshot.unfinished import is_unfinished

_PATIENCE = 60.0
"""Seconds. For so long a commit is tried while an earlier run still writes; it stops at its next one."""

_while_contended = retry(
    retry=retry_if_exception_type(Contended),
    stop=stop_after_delay(_PATIENCE),
    wait=wait_random_exponential(multiplier=0.05, max=2),
    reraise=True,
)


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
        self._changing = Changing(bucket, branch)
        self._known: dict[str, int] = {}
        self._held: dict[str, DeltaTable] = {}

    def create(self, table: Table, batches: Iterator[pa.RecordBatch]) -> int:
        """Write a table's first content, in bounded memory; its version.

        It replaces whatever an interrupted run left. Readers of a version that the pointer names see that one
        as before.

        Raises:
            Unfit: a value does not fit.
            What `batches` raises.
        """
        check_types(table)
        path = table.path
        self._newest_or_cleared(path)
        self._known[path] = self._filled(table, self._changing.written(table, batches))
        return self._known[path]

    @_while_contended
    def _filled(self, table: Table, written: list[AddAction]) -> int:
        """Make what is written a table's content; its version."""
        path = table.path
        there = self._newest_or_cleared(path)
        before = -1 if there is None else there.version()
        with self._errors(path):
            try:
                commits = self._changing.fill(there, table, written, self._properties())
            except STORE_ERRORS as error:
                now = self._newest(path)
                if now is not None and now.version() > before:
                    raise self._contended(path) from error
                raise
            self._held[path] = opened(self._bucket, self._branch, path, before + commits)
        return before + commits

    def commit(self, table: Table, change: Change, *, at: int, key_ns: int) -> int:
        """Change a table that this run has created or restored; its new version.

        Args:
            at: number of this commit, for the table's log.
            key_ns: up to where in the log (ns since 1970) the change goes.

        Raises:
            Unfit: a value does not fit, or a column would have another type.
        """
        check_types(table)
        if not len(change):
            return self._known[table.path]
        properties = self._properties(at, key_ns)
        self._from_known(table.path, lambda delta: self._changing.describe(delta, table, properties))
        return self._from_known(
            table.path, lambda delta: self._changing.put(delta, table, change, properties)
        )

    def restore(self, path: str, version: int) -> int:
        """Go back to a version if a run left a later one; the version that has its content now."""
        self._known[path] = version
        self._held.pop(path, None)
        return self._from_known(path, _nothing)

    def rows(self, versions: Mapping[str, int]) -> TableRows:
        """The tables' rows at these versions, by path."""
        return RowsAt(self._bucket, self._branch, versions, self._held, self._errors)

    def count(self, path: str, version: int) -> int:
        """How many rows a table has at a version. Its log tells; its files are not read."""
        return RowsAt(self._bucket, self._branch, {path: version}, self._held, self._errors).count(path)

    def at(self, path: str, version: int) -> DeltaTable:
        """A table, open at a version to look at."""
        held = self._held.get(path)
        if held is not None and held.version() == version:
            return held
        with self._errors(path):
            return opened(self._bucket, self._branch, path, version)

    def bytes_written(self, path: str) -> int:
        """How many bytes of files this run has written where rows of a table changed."""
        return self._changing.bytes_written[path]

    def files(self, path: str, version: int) -> int:
        """How many files hold a table's rows at a version."""
        with self._errors(path):
            return len(opened(self._bucket, self._branch, path, version).file_uris())

    def compact(self, path: str) -> int:
        """Make few files of many small ones; the version that has the same content now."""
        properties = self._properties()
        return self._from_known(path, lambda delta: self._changing.compact(delta, path, properties))

    def vacuum(self, path: str, keep: Collection[int], older_than: timedelta) -> int:
        """Delete files that only older versions need, or none; the version that has the same content now.

        Args:
            keep: older versions that stay readable.
            older_than: how long ago a file was last needed. Whoever reads or writes for longer than this can
                miss one.
        """

        def cleared(delta: DeltaTable) -> int:
            deleted = delta.vacuum(
                math.ceil(older_than / timedelta(hours=1)),
                dry_run=False,
                enforce_retention_duration=False,
                full=True,
                keep_versions=sorted(keep),
                commit_properties=self._properties(),
            )
            return 2 if deleted else 0  # that it begins, and that it ends

        self._held.pop(path, None)  # so that nothing is deleted by a run that is the older one by now
        return self._from_known(path, cleared)

    @_while_contended
    def _from_known(self, path: str, write: Callable[[DeltaTable], int]) -> int:
        """Write on top of the version that this run knows, whatever else there is; the new version.

        Args:
            write: tells how many commits it made. delta-rs lets some pass on top of others that came between,
                which shows in the version.
        """
        with self._errors(path):
            delta = self._held.pop(path, None) or self._newest_of_owner(path)
            before = delta.version()
            try:
                if before != self._known[path]:
                    delta.restore(self._known[path], commit_properties=self._properties())
                    before = self._known[path] = delta.version()
                expected = before + write(delta)
            except CommitFailedError as error:
                if self._newest_of_owner(path).version() == before:
                    raise storage_error(self._uri(path), error) from None
                raise self._contended(path) from error
        if delta.version() != expected:
            raise self._contended(path)
        self._known[path] = expected
        self._held[path] = delta
        return expected

    def _newest_of_owner(self, path: str) -> DeltaTable:
        """The table as it is now, which is not before what this run knows."""
        delta, known = found(self._bucket, self._branch, path), self._known[path]
        if delta is None or delta.version() < known:
            state = "is gone" if delta is None else f"is at version {delta.version()}"
            raise SnapshotDamaged(self._uri(path), f"the table {state}, and had version {known}", MISSING)
        if delta.version() > known:
            self._refuse_newer(delta, path)
        return delta

    def _newest_or_cleared(self, path: str) -> DeltaTable | None:
        """The table as it is now; None if it was never made to the end. What is left of its log goes, if it
        is seen to be no more than the beginning of a first commit."""
        try:
            return self._newest(path)
        except (StorageUnreachable, StorageRefused):
            raise
        except StorageError:
            log = self._bucket.names(f"{table_folder(self._branch, path)}/_delta_log")
            if path in self._known or not is_unfinished(log, self._bucket.read):
                raise
            self._bucket.delete(log)
            return None

    def _newest(self, path: str) -> DeltaTable | None:
        delta = found(self._bucket, self._branch, path)
        if delta is not None:
            self._refuse_newer(delta, path)
        return delta

    def _refuse_newer(self, delta: DeltaTable, path: str) -> None:
        with self._errors(path):
            epoch = delta.transaction_version(f"{self._app}/epoch") or 0
        if epoch > self._epoch and not self._owns_bucket():
            raise OwnershipLost(
                f"{self._uri(path)}: run {epoch} has written it, and this is run {self._epoch}. It stops."
            )

    def _of_newer_run(self, error: SnapshotDamaged) -> DvidSyncError:
        """What it means that something is missing: a newer run clears away what it needs no more."""
        snapshot = Pointer.load(self._bucket)
        if snapshot is None or snapshot.epoch <= self._epoch:
            return error
        return OwnershipLost(
            f"{self._bucket.uri}: run {snapshot.epoch} has it, and this is run {self._epoch}. It stops."
        )

    def _owns_bucket(self) -> bool:
        """Whether it is this run's all the same: somebody has brought back an older pointer."""
        snapshot = Pointer.load(self._bucket)
        return snapshot is not None and snapshot.epoch == self._epoch

    def _properties(self, at: int | None = None, key_ns: int | None = None) -> CommitProperties:
        transactions = [Transaction(f"{self._app}/epoch", self._epoch)]
        metadata = {"dvidsync.epoch": str(self._epoch)}
        if at is not None and key_ns is not None:
            transactions.append(Transaction(self._app, at))
            metadata["dvidsync.key"] = str(key_ns)
        return CommitProperties(custom_metadata=metadata, max_commit_retries=0, app_transactions=transactions)

    @contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        try:
            with storage_errors(self._bucket, self._branch, path):
                yield
        except SnapshotDamaged as error:
            raise self._of_newer_run(error) from None

    def _uri(self, path: str) -> str:
        return f"{self._bucket.uri}/{table_folder(self._branch, path)}"

    def _contended(self, path: str) -> Contended:
        return Contended(self._uri(path), "an earlier run still writes it", "Run again later.")


def _nothing(_: DeltaTable) -> int:
    """Nothing is written: the table is where it is to be."""
    return 0
