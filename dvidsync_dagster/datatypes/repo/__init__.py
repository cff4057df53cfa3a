"""What a repo announces of itself, versions and instances, as if it were a data type."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from dvidsync_dagster.datatypes.contract import DataType, Rows
from dvidsync_dagster.datatypes.repo.claims import claim
from dvidsync_dagster.datatypes.repo.decoding import decode
from dvidsync_dagster.datatypes.repo.side import RepoSide
from dvidsync_dagster.datatypes.server_side import Servers
from dvidsync_dagster.dvid.repo import Instance, Version
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.events.event import Announcement, Event
from dvidsync_dagster.events.message import Message
from dvidsync_dagster.events.repo import Commit, NewInstance, NewVersion, RepoEvent
from dvidsync_dagster.plan.claims import Claim

if TYPE_CHECKING:
    # What a run that only follows does without: it takes a good part of a second to load.
    from dvidsync_dagster.datatypes.repo.comparison import RepoComparison
    from dvidsync_dagster.datatypes.repo.repair import RepoRepair
    from dvidsync_dagster.datatypes.snapshot_side import SnapshotSide
    from dvidsync_dagster.snapshot.table import Change, Table, TableRows

_VERSION, _INSTANCE = "version", "instance"


class RepoType(DataType):
    """The repo's own topic.

    Args:
        sorts_anew: data types whose instances must be told to sort what they have by a new labelmap.
    """

    typename = "repo"

    def __init__(self, sorts_anew: Collection[str]) -> None:
        self._sorts_anew = sorts_anew

    @cached_property
    def comparison(self) -> RepoComparison:
        from dvidsync_dagster.datatypes.repo.comparison import RepoComparison

        return RepoComparison()

    @cached_property
    def repo_repair(self) -> RepoRepair:
        from dvidsync_dagster.datatypes.repo.repair import RepoRepair

        return RepoRepair()

    def decode(self, message: Message, instance: Instance | None) -> Announcement | None:
        event = decode(message)
        return None if event is None else Announcement(event)

    def claims(self, events: Sequence[Event]) -> list[Claim]:
        return [claim(event) for event in events if isinstance(event, RepoEvent)]

    def items(self, event: Event) -> Sequence[Hashable]:
        """The version or instance that is made."""
        match event:
            case NewVersion():
                return [event.child]
            case NewInstance():
                return [event.name]
        return ()

    def apply(self, event: Event, rows: Rows) -> None:
        """A version begins with all that its parent has."""
        match event:
            case NewVersion():
                for (kind, instance, version, *item), value in list(rows.items()):
                    if version == event.version and kind != _VERSION:
                        rows[(kind, instance, event.child, *item)] = value
                rows[(_VERSION, "", event.child)] = "committed" if event.tag else "open"
            case Commit():
                rows[(_VERSION, "", event.version)] = "committed"
            case NewInstance():
                rows[(_INSTANCE, event.name, "")] = event.data_type

    def versions_side(self, source: Transport, root: str, branch: str) -> SnapshotSide:
        """The repo's half of a snapshot of one branch."""
        from dvidsync_dagster.datatypes.repo.snapshot import VersionsSnapshot

        return VersionsSnapshot(source, root, branch)

    def held_versions(self, rows: TableRows, uuids: Sequence[str]) -> Iterator[Version]:
        """Those of some versions that a snapshot holds, as it has them."""
        from dvidsync_dagster.datatypes.repo.snapshot import held_versions

        return held_versions(rows, uuids)

    def renewed_version(self, version: Version, *, locked: bool) -> tuple[Table, Change]:
        """A version's row in a snapshot as the source has it.

        Args:
            locked: whether the snapshot holds it as committed.
        """
        from dvidsync_dagster.datatypes.repo.snapshot import VERSIONS, renewed_version

        return VERSIONS, renewed_version(version, locked=locked)

    def server_side(self, servers: Servers) -> RepoSide:
        return RepoSide(servers, self._sorts_anew)
