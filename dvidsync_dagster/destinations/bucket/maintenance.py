"""Maintenance of a snapshot: few files in place of many small ones, and an end to files that nothing needs.

It owns the snapshot as a run does, and changes nothing that a reader sees: each table has the same rows
before and after, and the commit is again the swap of ``snapshot.json``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from dvidsync_dagster.errors import StorageRefused
from dvidsync_dagster.outgoing_text import counted
from dvidsync_dagster.snapshot.delta import DeltaTables
from dvidsync_dagster.snapshot.pointer import BranchState, Pin, Pointer, TableState
from dvidsync_dagster.snapshot.points import POINTS, Point, appended
from dvidsync_dagster.snapshot.store import Bucket

SHORTEST = timedelta(hours=1)
"""Whoever opened a snapshot reads its files for a while."""


@dataclass(frozen=True, slots=True)
class Maintained:
    """One table after its maintenance: Delta's version, how many files it had and has, and why none could be
    deleted."""

    branch: str
    path: str
    version: int
    files_before: int
    files_after: int
    refused: StorageRefused | None = None


def maintain(
    bucket: Bucket, repo: str, *, app: str, kept: timedelta, say: Callable[[str], None] = lambda _: None
) -> list[Maintained]:
    """Compact all tables, and delete what is needed neither by the snapshot, nor by a pin, nor by any state
    of the last `kept`.

    Args:
        repo: UUID of the repo's root.
        app: names the destination in the tables' logs.
        kept: at least `SHORTEST`.
        say: gets a line per table.

    Raises:
        ValueError: `kept` is too short.
        OwnershipLost: a newer run has claimed the snapshot; readers see it as it was.
        StorageRefused: the bucket lets nothing be deleted. All else is done.
        StorageError: as well; what is done is done, and the next time goes on.
    """
    if kept < SHORTEST:
        raise ValueError(f"files must be kept for {SHORTEST} at least, not {kept}")
    if Pointer.load(bucket) is None:
        return []
    pointer = Pointer.claimed(bucket, repo)
    snapshot = pointer.snapshot
    done: list[Maintained] = []
    branches = {}
    for branch, state in snapshot.branches.items():
        tables = DeltaTables(bucket, branch, app=app, epoch=snapshot.epoch)
        maintained = []
        for path, table in state.tables.items():
            pinned = _pinned(snapshot.pins, branch, path)
            maintained.append(_maintained(tables, branch, path, table.version, pinned, kept))
            files = counted(maintained[-1].files_before, "file")
            say(f"{branch}/{path}: {files}, now {maintained[-1].files_after}")
        branches[branch] = _at(tables, state, {each.path: each.version for each in maintained})
        done += maintained
    pointer.commit(snapshot.model_copy(update={"branches": branches}))
    for each in done:
        if each.refused is not None:
            raise StorageRefused(each.refused.where, f"{_NOT_DELETED}: {each.refused.found}", _MAY_DELETE)
    return done


_NOT_DELETED = "the tables have few files now, but old ones that nothing needs cannot be deleted"
_MAY_DELETE = "Allow the login that is in the environment to delete there; the next maintenance does it."


def _at(tables: DeltaTables, state: BranchState, versions: dict[str, int]) -> BranchState:
    """The branch with its tables at these versions. Its moment has them from now on: files that only the
    former ones need will go."""
    others = {path: version for path, version in versions.items() if path != POINTS.path}
    if POINTS.path in versions and any(state.tables[path].version != others[path] for path in others):
        point = appended(Point(state.log_time_ns, state.uuid, versions))
        versions[POINTS.path] = tables.commit(
            POINTS, point, at=versions[POINTS.path], key_ns=state.log_time_ns
        )
    return state.model_copy(
        update={
            "tables": {
                path: TableState(version=versions[path], rows=tables.count(path, versions[path]))
                for path in state.tables
            }
        }
    )


def _maintained(
    tables: DeltaTables, branch: str, path: str, version: int, pinned: set[int], kept: timedelta
) -> Maintained:
    before = tables.restore(path, version)
    files = tables.files(path, before)
    after, refused = tables.compact(path), None
    try:
        # Whoever reads the snapshot now reads `version`, until it is swapped.
        after = tables.vacuum(path, keep=pinned | {version, before}, older_than=kept)
    except StorageRefused as error:
        refused = error
    return Maintained(branch, path, after, files, tables.files(path, after), refused)


def _pinned(pins: Mapping[str, Pin], branch: str, path: str) -> set[int]:
    return {pin.tables[path] for pin in pins.values() if pin.branch == branch and path in pin.tables}
