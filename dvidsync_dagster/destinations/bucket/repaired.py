"""A snapshot that is repaired: rows of one version after the other are put right.

Readers see all that changes in a version at once, or nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dvidsync_dagster.config import BucketConfig
from dvidsync_dagster.datatypes.registry import REPO
from dvidsync_dagster.destinations.bucket.compared import BucketBesideSource, tables_by_version
from dvidsync_dagster.destinations.bucket.configured_bucket import table_app
from dvidsync_dagster.destinations.bucket.draft import Draft
from dvidsync_dagster.destinations.bucket.instance_identity import is_of
from dvidsync_dagster.destinations.bucket.lost import (
    LostOfPins,
    go_back,
    going_back,
    lost_of_pins,
    some_of,
    told,
    told_of_pins,
)
from dvidsync_dagster.destinations.bucket.tables import BranchTables
from dvidsync_dagster.destinations.bucket.versions import BranchVersions
from dvidsync_dagster.dvid.repo import RepoInfo, read_repo_info, read_server_info
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.errors import OwnershipLost
from dvidsync_dagster.snapshot.layout import release_folder
from dvidsync_dagster.snapshot.pointer import BranchState, Pointer, Snapshot, TableState
from dvidsync_dagster.snapshot.release import SUMS
from dvidsync_dagster.snapshot.store import Bucket
from dvidsync_dagster.snapshot.table import Change, Table
from dvidsync_dagster.snapshot.whole import WholeTables

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
        followed: Callable[[str], bool],
        still_owner: Callable[[], None],
    ) -> None:
        super().__init__(config, bucket, source, root, followed)
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

    def mend_lost(self, say: Callable[[str], None], *, dry_run: bool) -> None:
        """What is lost cannot be compared row by row: see to it before.

        Tables of committed versions are read anew. If the newest snapshot has lost something, it goes back to
        a committed version.

        Args:
            say: gets a line on what was read anew.

        Raises:
            SnapshotDamaged: the newest snapshot has gone back; or something is lost, and this is a dry run.
            OwnershipLost, StorageError, ServerError; Unfit: a value does not fit.
        """
        snapshot = Pointer.load(self._bucket)
        if snapshot is None:
            return
        branch, repo = self._config.branch, read_repo_info(self._source, self._root)
        clock = read_server_info(self._source).clock
        whole = WholeTables(self._bucket, branch, read=True)
        how = going_back(whole, snapshot, BranchVersions.of(repo, branch), clock)
        if how is not None:
            if not dry_run:
                go_back(self._bucket, self._root, how, self._still_owner)
            raise told(self._bucket, how, done=not dry_run)
        lost = lost_of_pins(whole, snapshot)
        if lost and dry_run:
            raise told_of_pins(self._bucket, lost)
        if lost:
            self._read_anew(repo, lost)
            say(
                f"lost tables of committed versions are as the source has them now, but for edits, which "
                f"are left out: {some_of(lost)}"
            )

    def _read_anew(self, repo: RepoInfo, lost: LostOfPins) -> None:
        """Committed versions get the tables that they have lost, as the source has them. What only grows is
        no part of them from now on: the source does not tell it."""
        self._still_owner()
        pointer = Pointer.claimed(self._bucket, self._root)
        snapshot, branch = pointer.snapshot, self._config.branch
        followed = self._followed_in(repo)
        pins = dict(snapshot.pins)
        for version, paths in lost.items():
            written = self._tables_at(pointer, {})
            sides = [
                self._side_of(instance, followed)
                for instance in followed.values()
                if is_of(pins[version].instances, instance)
            ]
            for side in [*sides, REPO.versions_side(self._source, self._root, branch)]:
                if side is None or not any(table.path in paths for table in side.tables):
                    continue
                for table, batches in side.whole(version):
                    if table.path in paths and table.key:
                        written.create(table, batches)
            kept = {path: number for path, number in pins[version].tables.items() if path not in paths}
            pins[version] = pins[version].model_copy(update={"tables": {**kept, **written.versions}})
        state = snapshot.branches[branch]
        touched = {path for paths in lost.values() for path in paths}
        newest = self._tables_at(
            pointer, {path: table for path, table in state.tables.items() if path in touched}
        )
        now = state.model_copy(update={"tables": {**state.tables, **newest.states}})
        pointer.commit(
            snapshot.model_copy(update={"branches": {**snapshot.branches, branch: now}, "pins": pins})
        )

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
        for each in changes:
            tables.change([each], key_ns=state.log_time_ns)
        tables.reports()  # counts rows
