"""A snapshot that is repaired: rows of one version after the other are put right.

Readers see all that changes in a version at once, or nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dvidsync_dagster.config import BucketConfig
from dvidsync_dagster.destinations.bucket.compared import BucketBesideSource, tables_by_version
from dvidsync_dagster.destinations.bucket.draft import Draft
from dvidsync_dagster.destinations.bucket.place import table_app
from dvidsync_dagster.destinations.bucket.tables import BranchTables
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.errors import OwnershipLost
from dvidsync_dagster.snapshot.layout import release_folder
from dvidsync_dagster.snapshot.pointer import BranchState, Pointer, Snapshot, TableState
from dvidsync_dagster.snapshot.release import SUMS
from dvidsync_dagster.snapshot.store import Bucket
from dvidsync_dagster.snapshot.table import Change, Table

TableChange = tuple[Table, Change]


class SnapshotRepair(BucketBesideSource):
    """A snapshot beside its source, whose rows can be changed.

    Args:
        still_owner: raises OwnershipLost if a newer run owns the destination.
    """

    def __init__(
        self,
        config: BucketConfig,
        bucket: Bucket,
        source: Transport,
        root: str,
        still_owner: Callable[[], None],
    ) -> None:
        super().__init__(config, bucket, source, root)
        self._still_owner = still_owner

    def change(self, version: str, changes: Sequence[TableChange], *, committed: bool = False) -> None:
        """Change the tables of one version.

        Args:
            committed: the version is committed from now on. It must be the branch's newest.

        Raises:
            OwnershipLost: another run has changed the snapshot since `contents`.
            StorageError; Unfit: a value does not fit.
        """
        self._still_owner()
        pointer = Pointer.claimed(self._bucket, self._root)
        state = self._as_compared(pointer.snapshot, version)
        if state.uuid == version:
            self._change_newest(pointer, state, changes, committed=committed)
        else:
            self._change_pinned(pointer, state, version, changes)

    @property
    def log_time_ns(self) -> int:
        """The moment of the log (ns since 1970) at which the newest tables are. Asked after `contents`."""
        return self._log_time_ns

    def has_release(self, version: str) -> bool:
        """Whether a release of a version was written."""
        return self._bucket.read(f"{release_folder(version)}/{SUMS}") is not None

    def _as_compared(self, snapshot: Snapshot, version: str) -> BranchState:
        """The branch, whose tables of a version are those that were compared."""
        state = snapshot.branches.get(self._config.branch)
        held = tables_by_version(snapshot, self._config.branch, state) if state is not None else {}
        if state is None or held.get(version) != self._versions[version]:
            raise OwnershipLost(
                f"{self._bucket.uri}: another run has changed the tables of version {version} since they "
                f"were compared. Repair again."
            )
        return state

    def _change_newest(
        self, pointer: Pointer, state: BranchState, changes: Sequence[TableChange], *, committed: bool
    ) -> None:
        draft = Draft(pointer, self._config.branch, self._tables_at(pointer, state.tables), state)
        self._write(draft.tables, changes, state)
        if committed or state.committed == state.uuid:
            draft.pin(state.log_time_ns)
        draft.commit(pointer.snapshot.checkpoint)
        self._versions = {**self._versions, state.uuid: draft.tables.versions}

    def _change_pinned(
        self, pointer: Pointer, state: BranchState, version: str, changes: Sequence[TableChange]
    ) -> None:
        """Go back to the pinned tables, change these, and return to the newest ones."""
        snapshot, paths = pointer.snapshot, [table.path for table, _ in changes]
        pin = snapshot.pins[version]
        pinned = self._tables_at(
            pointer, {path: TableState(version=pin.tables[path], rows=0) for path in paths}
        )
        self._write(pinned, changes, state)
        changed = pin.model_copy(update={"tables": {**pin.tables, **pinned.versions}})
        newest = self._tables_at(
            pointer, {path: state.tables[path] for path in paths if path in state.tables}
        )
        now = state.model_copy(update={"tables": {**state.tables, **newest.states}})
        pointer.commit(
            snapshot.model_copy(
                update={
                    "branches": {**snapshot.branches, self._config.branch: now},
                    "pins": {**snapshot.pins, version: changed},
                }
            )
        )
        self._versions = tables_by_version(pointer.snapshot, self._config.branch, now)

    def _tables_at(self, pointer: Pointer, states: dict[str, TableState]) -> BranchTables:
        return BranchTables(
            self._bucket,
            self._config.branch,
            app=table_app(pointer.snapshot.repo, self._config),
            epoch=pointer.snapshot.epoch,
            states=states,
        )

    def _write(self, tables: BranchTables, changes: Sequence[TableChange], state: BranchState) -> None:
        for table, change in changes:
            tables.change(table, change, key_ns=state.log_time_ns)
        tables.reports()  # counts rows
