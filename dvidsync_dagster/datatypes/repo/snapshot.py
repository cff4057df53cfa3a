"""The versions of one branch in a snapshot: one table, as if the repo were an instance named `versions`.

What a version is, the source tells. Which versions there are, and which of them are committed, the log tells:
the source may be further.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from dvidsync_dagster.datatypes.snapshot_side import SnapshotSide
from dvidsync_dagster.datatypes.table_rows import bounded, kept
from dvidsync_dagster.dvid.repo import Instance, RepoInfo, Version, read_repo_info
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.errors import ServerFailed
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.events.repo import Commit, NewVersion, NodeLog, NodeNote
from dvidsync_dagster.snapshot.table import Change, Column, Table, TableRows

PATH = "versions"

MASTER = "master"
"""What people call the branch without a name."""

_TIME = pa.timestamp("us", "UTC")

VERSIONS = Table(
    PATH,
    "One version of the repo: of this branch, or one from which the branch comes.",
    (
        Column("uuid", pa.string(), "The version's UUID; of a tag, its name."),
        Column("parents", pa.list_(pa.string()), "The UUIDs of the versions that it was made from."),
        Column("branch", pa.string(), "Its branch."),
        Column("locked", pa.bool_(), "Whether it is committed, and does not change anymore."),
        Column("note", pa.string(), "What was noted of it."),
        Column("log", pa.list_(pa.string()), "The lines of its log, each with its time."),
        Column("created", _TIME, "When it was made. Null: the source does not tell.", nullable=True),
        Column(
            "committed_at_latest",
            _TIME,
            "It was committed then or before, by the source's clock: its first child was made then, or it "
            "was changed then for the last time. DVID tells neither the very moment, nor who committed it. "
            "Null: it is not committed, or the source does not tell.",
            nullable=True,
        ),
    ),
    ("uuid",),
)


class VersionsSnapshot(SnapshotSide):
    """The versions from which a branch comes, and its own.

    Args:
        root: the repo.
        branch: as people call it, so that the one without a name is `master`.
    """

    def __init__(self, source: Transport, root: str, branch: str) -> None:
        super().__init__(source, Instance(PATH, "repo", root))
        self._root = root
        self._branch = branch

    @property
    def tables(self) -> Sequence[Table]:
        return (VERSIONS,)

    def whole(self, version: str) -> Iterator[tuple[Table, Iterator[pa.RecordBatch]]]:
        """A version and all that it comes from. It is committed, unless it is the root."""
        repo = read_repo_info(self.source, self._root)
        _version(repo, version)
        ancestors = repo.ancestors(version)
        rows = [(each, each.locked) for uuid, each in repo.versions.items() if uuid in ancestors]
        yield VERSIONS, _batches(rows)

    def changes(self, events: Sequence[Event], version: str, rows: TableRows) -> Mapping[str, Change]:
        told = [each for each in events if isinstance(each, NewVersion | Commit | NodeNote | NodeLog)]
        if not told:
            return {}
        repo = read_repo_info(self.source, self._root)
        named = {each.version for each in told}
        named |= {each.child for each in told if isinstance(each, NewVersion)}
        before = rows.find(VERSIONS, "uuid", sorted(named)).select(["uuid", "locked"])
        locked = dict(zip(*(before[name].to_pylist() for name in before.schema.names), strict=True))
        for each in told:
            match each:
                case NewVersion(version=parent, child=child) if parent in locked:
                    locked[parent] = True
                    if _called(_version(repo, child)) == self._branch:
                        locked.setdefault(child, False)
                case Commit(version=committed) if committed in locked:
                    locked[committed] = True
        put = kept(VERSIONS, _batches([(_version(repo, uuid), done) for uuid, done in locked.items()]))
        return {PATH: Change(put)} if len(put) else {}


def held_versions(rows: TableRows, uuids: Sequence[str]) -> Iterator[Version]:
    """Those of some versions that the table has, as it has them. They have no number."""
    for row in rows.find(VERSIONS, "uuid", list(uuids)).to_pylist():
        yield Version(
            uuid=row["uuid"],
            number=0,
            parents=tuple(row["parents"]),
            branch=row["branch"],
            locked=row["locked"],
            note=row["note"],
            log=tuple(row["log"]),
        )


def renewed_version(version: Version, *, locked: bool) -> Change:
    """A version's row as the source has it.

    Args:
        locked: whether the snapshot holds it as committed.
    """
    return Change(kept(VERSIONS, _batches([(version, locked)])))


def _version(repo: RepoInfo, uuid: str) -> Version:
    if uuid not in repo.versions:
        raise ServerFailed("GET repo info", f"does not tell of version {uuid}, which the log names")
    return repo.versions[uuid]


def _called(version: Version) -> str:
    return version.branch or MASTER


def _batches(rows: Sequence[tuple[Version, bool]]) -> Iterator[pa.RecordBatch]:
    for some in bounded(rows, lambda row: len(row[0].note) + sum(map(len, row[0].log))):
        versions = [version for version, _ in some]
        columns: Mapping[str, Any] = {
            "uuid": [each.uuid for each in versions],
            "parents": [each.parents for each in versions],
            "branch": [_called(each) for each in versions],
            "locked": [locked for _, locked in some],
            "note": [each.note for each in versions],
            "log": [each.log for each in versions],
            "created": [_microseconds(each.created) for each in versions],
            "committed_at_latest": [
                _microseconds(each.committed_at_latest if locked else 0) for each, locked in some
            ],
        }
        arrays = [pa.array(columns[field.name], field.type) for field in VERSIONS.schema]
        yield pa.record_batch(arrays, VERSIONS.schema)


def _microseconds(nanoseconds: int) -> int | None:
    return nanoseconds // 1000 or None
