"""A snapshot beside its source: one side of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dvidsync_dagster.config import BucketConfig
from dvidsync_dagster.datatypes.registry import FOLLOWED, REPO
from dvidsync_dagster.datatypes.snapshot_side import SnapshotSide
from dvidsync_dagster.destinations.bucket.instance_identity import is_of
from dvidsync_dagster.destinations.bucket.versions import BranchVersions
from dvidsync_dagster.differences.digest import Numbers, Page, Wanted
from dvidsync_dagster.differences.sides import Kind
from dvidsync_dagster.dvid.repo import Instance, RepoInfo, Version
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.errors import ConfigurationError
from dvidsync_dagster.snapshot.pointer import BranchState, Pointer, Snapshot
from dvidsync_dagster.snapshot.rows import RowsAt
from dvidsync_dagster.snapshot.store import Bucket
from dvidsync_dagster.snapshot.table import TableRows


@dataclass(frozen=True, slots=True)
class BucketSide:
    """One instance of a snapshot in one version. A `Side`."""

    version: str
    name: str
    tables: SnapshotSide
    rows: TableRows

    def pages(self, kind: Kind, wanted: Wanted | None) -> Iterator[Page]:
        return self.tables.pages(kind, self.rows)

    def values(self, kind: Kind, keys: Sequence[Any]) -> Numbers:
        return self.tables.values(kind, keys, self.rows)

    def records(self, kind: Kind) -> Iterator[tuple[Any, Any]]:
        return self.tables.records(kind, self.rows)


class BucketBesideSource:
    """A `Comparable`. It holds the versions that were committed since it began, and the branch's newest.

    Args:
        source: of the source, open.
        root: the repo.
        followed: whether an instance (by name) is one of those that the snapshot follows.
    """

    def __init__(
        self,
        config: BucketConfig,
        bucket: Bucket,
        source: Transport,
        root: str,
        followed: Callable[[str], bool],
    ) -> None:
        self._config = config
        self._bucket = bucket
        self._source = source
        self._root = root
        self._followed = followed
        self._sides: Mapping[str, SnapshotSide] = {}
        self._versions: Mapping[str, Mapping[str, int]] = {}
        self._owners: Mapping[str, Mapping[str, str]] = {}
        self._log_time_ns = 0
        self._newest = ""

    def contents(self, source: RepoInfo) -> RepoInfo:
        """What the newest snapshot has: whoever compares goes on with that one.

        Raises:
            ConfigurationError: there is none yet.
        """
        snapshot = Pointer.load(self._bucket)
        state = snapshot.branches.get(self._config.branch) if snapshot is not None else None
        if snapshot is None or state is None or snapshot.checkpoint is None:
            raise ConfigurationError(
                f"{self._config.field}.bucket",
                f"{self._bucket.uri} holds no whole snapshot of branch {self._config.branch} yet",
                "Let a run make it first.",
            )
        followed = self._followed_in(source)
        self._versions = tables_by_version(snapshot, self._config.branch, state)
        pinned = {uuid: snapshot.pins[uuid].instances for uuid in self._versions if uuid in snapshot.pins}
        self._owners = {**pinned, state.uuid: state.instances or {}}
        self._log_time_ns = state.log_time_ns
        self._newest = state.uuid
        self._sides = {
            name: side
            for name, instance in followed.items()
            if (side := self._side_of(instance, followed)) is not None
            and all(table.path in state.tables for table in side.tables)
            and is_of(self._owners[state.uuid], instance)
        }
        return replace(
            source,
            versions={each.uuid: each for each in self._held(state)},
            instances={name: source.instances[name] for name in self._sides},
        )

    def compared(self, source: RepoInfo) -> frozenset[str]:
        """Those that it holds, and those of the branch that come after."""
        branch = BranchVersions.of(source, self._config.branch)
        newest = max((branch.place(uuid) or 0 for uuid in self._versions), default=0)
        return frozenset(self._versions) | {each.uuid for each in branch.versions[newest + 1 :]}

    def holds(self, version: str, instance: str) -> bool:
        """One that joined later is not in the versions that were committed before, and another one can be
        there by its name."""
        side = self._sides[instance]
        if not side.instance.is_versioned and version != self._newest:
            return False  # what a version held when it was committed, the source does not tell anymore
        is_there = all(table.path in self._versions[version] for table in side.tables)
        return is_there and is_of(self._owners[version], side.instance)

    def side(self, version: str, instance: str) -> BucketSide:
        rows = RowsAt(self._bucket, self._config.branch, self._versions[version])
        return BucketSide(version, instance, self._sides[instance], rows)

    def _followed_in(self, source: RepoInfo) -> Mapping[str, Instance]:
        return {name: each for name, each in source.instances.items() if self._followed(name)}

    def _side_of(self, instance: Instance, followed: Mapping[str, Instance]) -> SnapshotSide | None:
        """Its tables; None if snapshots hold nothing of it."""
        if instance.typename not in FOLLOWED:
            return None
        return FOLLOWED[instance.typename].snapshot_side(self._source, instance, followed)

    def _held(self, state: BranchState) -> Iterator[Version]:
        """The versions as the table of them tells."""
        versions = {path: table.version for path, table in state.tables.items()}
        rows = RowsAt(self._bucket, self._config.branch, versions)
        return REPO.held_versions(rows, sorted(self._versions))


def tables_by_version(snapshot: Snapshot, branch: str, state: BranchState) -> dict[str, Mapping[str, int]]:
    """The tables' versions (Delta's, by path) for each version of the repo."""
    pins = {uuid: pin.tables for uuid, pin in snapshot.pins.items() if pin.branch == branch}
    return {**pins, state.uuid: {path: table.version for path, table in state.tables.items()}}
