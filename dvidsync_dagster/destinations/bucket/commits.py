"""A commit that the log does not tell of, as its message was lost.

The source says that the version is committed. In the snapshot it counts as committed too, once the log has
been read past the commit: then the tables hold all that the version has.
"""

from __future__ import annotations

from collections.abc import Collection

from dvidsync_dagster.destinations.bucket.stretches import Reached, VersionStretch
from dvidsync_dagster.destinations.bucket.time_margins import COMMIT_NS
from dvidsync_dagster.destinations.bucket.versions import BranchVersions
from dvidsync_dagster.destinations.protocol import Standing
from dvidsync_dagster.events.origin import Origin
from dvidsync_dagster.events.repo import Commit


def untold_commit(
    versions: BranchVersions, reached: Reached, waits_in: Collection[str], key_ns: int, standing: Standing
) -> VersionStretch | None:
    """The stretch that commits the newest version of the tables, if the source alone tells of that commit.
    Pure.

    Args:
        versions: as the source had them when the run began.
        waits_in: the versions of events that must wait.
        key_ns: up to where (ns since 1970) the log is read.
        standing: of the run after that.
    """
    place = versions.place(reached.version)
    if reached.is_committed or place is None or reached.version in waits_in:
        return None
    version = versions.versions[place]
    committed = version.committed_at_latest
    is_told = key_ns >= committed + COMMIT_NS if committed else standing is Standing.CAUGHT_UP
    if not version.locked or not is_told:
        return None
    commit = Commit(origin=Origin(key_ns, "", 0, 0), version=version.uuid, note="", log=())
    return VersionStretch(version.uuid, [commit], is_committed=True)
