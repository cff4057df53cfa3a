"""A snapshot whose files are lost goes back to the newest committed version that it keeps.

What a lost file held is nowhere else in the bucket. The source still has each committed version as it was,
and the log tells what came after it. So tables that are whole at that version stay as they were kept for it,
the others are read anew, and the log is followed from there: by the next run, which finds the snapshot as if
the first one had just been begun with that version.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from dvidsync_dagster.destinations.bucket.versions import Base, BranchVersions
from dvidsync_dagster.errors import SnapshotDamaged
from dvidsync_dagster.outgoing_text import escaped
from dvidsync_dagster.snapshot.layout import branch_folder, table_folder
from dvidsync_dagster.snapshot.opening import found
from dvidsync_dagster.snapshot.pointer import BranchState, Pin, Pointer, Snapshot, TableState
from dvidsync_dagster.snapshot.rows import RowsAt
from dvidsync_dagster.snapshot.store import Bucket
from dvidsync_dagster.snapshot.whole import WholeTables


@dataclass(frozen=True, slots=True)
class GoingBack:
    """How a snapshot goes back.

    Args:
        branch: that lost files.
        lost: by the tables' paths, what the newest snapshot lacks.
        base: the version that it goes back to.
        kept: the tables that are whole there, as they are kept.
        anew: the paths of those that are not.
        needed: by the paths of tables that have lost files: Delta's newest version of the table that is whole
            and belongs to a committed version; -1 if there is none. Nothing after it stays.
    """

    branch: str
    lost: Mapping[str, str]
    base: Base
    kept: Mapping[str, TableState]
    anew: tuple[str, ...]
    needed: Mapping[str, int]

    def state(self, pin: Pin) -> BranchState:
        """The branch as the next run finds it.

        Args:
            pin: of the version.
        """
        return BranchState(
            uuid=self.base.uuid,
            committed="" if self.anew else self.base.uuid,
            base=self.base.uuid,
            base_read_ns=max(pin.log_time_ns, self.base.start_ns),
            log_time_ns=self.base.start_ns,
            tables=dict(self.kept),
            instances=dict(pin.instances) or None,
        )

    @property
    def text(self) -> str:
        """What becomes of it."""
        if not self.anew:
            return f"goes back to the committed version {self.base.uuid}"
        names = escaped(", ".join(self.anew))
        return (
            f"goes back to the committed version {self.base.uuid}, with {names} read anew from the source "
            f"(a table of edits begins anew there)"
        )


def going_back(
    whole: WholeTables, snapshot: Snapshot, versions: BranchVersions, clock: int
) -> GoingBack | None:
    """How a branch goes back; None if its newest snapshot has lost nothing.

    Args:
        whole: the branch's.
        versions: of the branch, as the source has them.
        clock: the source's (ns since 1970).

    Raises:
        SnapshotDamaged: something is lost, and no committed version is kept.
        StorageError: the bucket does not answer.
    """
    bucket, branch = whole.bucket, whole.branch
    state = snapshot.branches.get(branch)
    looked = {path: whole.lost(path, table.version) for path, table in state.tables.items()} if state else {}
    lost = {path: what for path, what in looked.items() if what}
    if not lost:
        return None
    pins = {uuid: pin for uuid, pin in snapshot.pins.items() if pin.branch == branch}
    base = versions.newest_base(pins.keys(), clock)
    if base is None:
        raise SnapshotDamaged(_where(bucket, branch), f"lost: {_some(lost)}", _NOTHING_KEPT)
    tables = pins[base.uuid].tables
    there = {path: version for path, version in tables.items() if not whole.lost(path, version)}
    rows = RowsAt(bucket, branch, there)
    return GoingBack(
        branch,
        lost,
        base,
        {path: TableState(version=version, rows=rows.count(path)) for path, version in there.items()},
        tuple(sorted(tables.keys() - there.keys())),
        {path: _newest_whole(whole, path, pins.values()) for path in lost},
    )


def _newest_whole(whole: WholeTables, path: str, pins: Iterable[Pin]) -> int:
    """The newest version of a table that committed versions have and that is whole; -1 if there is none."""
    versions = {pin.tables[path] for pin in pins if path in pin.tables}
    return next((each for each in sorted(versions, reverse=True) if not whole.lost(path, each)), -1)


def go_back(bucket: Bucket, repo: str, how: GoingBack, still_owner: Callable[[], None]) -> None:
    """Let the next run begin with the version.

    Raises:
        OwnershipLost: a newer run owns the snapshot.
        StorageError.
    """
    still_owner()
    pointer = Pointer.claimed(bucket, repo)
    for path, version in how.needed.items():
        _cut_log(bucket, how.branch, path, version)
    snapshot = pointer.snapshot
    state = how.state(snapshot.pins[how.base.uuid])
    pointer.commit(
        snapshot.model_copy(
            update={"checkpoint": None, "branches": {**snapshot.branches, how.branch: state}},
        )
    )


def _cut_log(bucket: Bucket, branch: str, path: str, version: int) -> None:
    """A table whose log cannot be read to its end could not be written: nothing stays of it after this
    version, the newest one that is needed."""
    try:
        found(bucket, branch, path)
    except SnapshotDamaged:
        log = bucket.names(f"{table_folder(branch, path)}/_delta_log")
        bucket.delete(name for name in log if _number(name) > version)


def _number(name: str) -> int:
    """Of a commit, by its name in a log. What has none tells of the newest ones."""
    number = name.rpartition("/")[2].partition(".")[0]
    return int(number) if number.isdecimal() else sys.maxsize


def told(bucket: Bucket, how: GoingBack, *, done: bool) -> SnapshotDamaged:
    """What is lost, and what was done or is to be done about it."""
    remedy = (
        f"The snapshot {how.text}: let a run follow from there now."
        if done
        else f"{_BRING_BACK} Else use `dvidsync repair --apply`: the snapshot {how.text}, and the next run "
        f"follows from there."
    )
    return SnapshotDamaged(_where(bucket, how.branch), f"lost: {_some(how.lost)}", remedy)


LostOfPins = Mapping[str, Mapping[str, str]]
"""By version, by a table's path, what is lost."""


def lost_of_pins(whole: WholeTables, snapshot: Snapshot) -> LostOfPins:
    """What the committed versions that are kept lack. Raises StorageError."""
    lost: dict[str, dict[str, str]] = {}
    for uuid, pin in snapshot.pins.items():
        if pin.branch != whole.branch:
            continue
        for path, version in pin.tables.items():
            if what := whole.lost(path, version):
                lost.setdefault(uuid, {})[path] = what
    return lost


def told_of_pins(bucket: Bucket, lost: LostOfPins) -> SnapshotDamaged:
    """What committed versions lack, and what to do about it."""
    return SnapshotDamaged(
        bucket.uri,
        f"committed versions have lost {some_of(lost)}",
        f"{_BRING_BACK} Else use `dvidsync repair --apply`: it reads these tables anew from the source.",
    )


def some_of(lost: LostOfPins) -> str:
    """By version, the files."""
    return "; ".join(f"{escaped(version, 100)}: {_some(paths)}" for version, paths in lost.items())


_BRING_BACK = "Bring it back, if the bucket keeps deleted objects or old versions."
_NOTHING_KEPT = (
    f"{_BRING_BACK} Else delete the snapshot's folder, and the next run makes it anew: it keeps no committed "
    f"version to go back to."
)


def _where(bucket: Bucket, branch: str) -> str:
    return f"{bucket.uri}/{branch_folder(branch)}"


def _some(lost: Mapping[str, str]) -> str:
    return escaped(", ".join(lost.values()))
