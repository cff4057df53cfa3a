"""The whole repair of a destination: compare, change, compare again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

from dvidsync_dagster.compare.both_sides import BothSides, ToCompare, opened_source
from dvidsync_dagster.compare.comparison import Compared, compare_opened
from dvidsync_dagster.compare.later import LaterRecords
from dvidsync_dagster.compare.reading import Say
from dvidsync_dagster.config import AnyDestination, SyncConfig
from dvidsync_dagster.differences.findings import EXAMPLES, Comparison
from dvidsync_dagster.differences.mender import Mender
from dvidsync_dagster.differences.work import NotRepaired, Repair, Work
from dvidsync_dagster.log.begun_repairs import BegunRepairs
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.repair.menders import opened_mending
from dvidsync_dagster.repair.pending import PendingRecords
from dvidsync_dagster.repair.resolved import is_resolved
from dvidsync_dagster.run.conflict_table import ConflictTable, conflict_table_of

ALL_SHOWN = 200
"""Items of each change that are named where one version is repaired, so that people see what goes."""

AGAIN = 3
"""How often what a comparison shows to be left is mended, at most."""


def repair(
    config: SyncConfig,
    destination: AnyDestination,
    *,
    dry_run: bool,
    still_owner: Callable[[], None],
    checkpoint: Checkpoint | None = None,
    stuck: bool = False,
    version: str | None = None,
    say: Say = lambda _: None,
) -> Repair:
    """Bring a destination to its source's state, as far as that can be done.

    Nothing else may write to the destination in the meantime. It can be interrupted and started again.

    Args:
        checkpoint: from which on the log brings what it tells of, so that it is left alone. Without, a repair
            runs ahead of the log.
        stuck: the destination cannot follow. Then the repair runs ahead of what the log tells up to now.
        version: UUID, or its first letters: bring only this one to the source's state, and nothing that is
            the whole repo's. None: all.
        dry_run: change nothing, and tell what would be changed. What a version inherits from its parent then
            shows in both.
        still_owner: raises OwnershipLost if a newer run owns the destination.
        say: gets a line per version.

    Raises:
        ConfigurationError, ServerError, BrokerUnreachable, OwnershipLost: what was changed before stays
            changed.
        SnapshotDamaged: a snapshot has lost files, and has gone back to where it is whole, if it may change.
    """
    with (
        opened_source(config) as source,
        opened_mending(
            config, destination, source, dry_run=dry_run, still_owner=still_owner, say=say
        ) as mending,
    ):
        conflicts = conflict_table_of(config, destination.name)
        begun = BegunRepairs(config, destination.name)
        versions = () if version is None else (version,)
        opened = ToCompare(config, destination, source, mending.follower, versions)
        sides = opened.look()
        work = Work(
            dry_run,
            mending.reads_at_once,
            shares_ids=sides.own.practises,
            met_at=_met_at(checkpoint, conflicts),
            shown=EXAMPLES if version is None else ALL_SHOWN,
            begins=begun.begin,
        )
        _tell_of_children(sides, say)
        with LaterRecords(config, sides, checkpoint, say, from_now=stuck) as later:
            pending = PendingRecords(later, config.settle_seconds)

            def mender_of(sides: BothSides) -> AbstractContextManager[Mender]:
                return mending.mender(sides, opened.look, pending, work)

            with mender_of(sides) as mender:
                mend(mender, say)
            if dry_run:
                listed = sum(row.row.version in sides.versions for row in conflicts.rows("open"))
                return _done(work, None, listed)
            say("Comparing once more.")
            compare_again = partial(compare_opened, opened, reached=lambda: checkpoint)
            after, mender = _mend_the_rest(compare_again, mender_of, say)
        for row in after.comparison.differences:
            if (why := mender.why_left(row)) is not None:
                work.not_repaired.append(NotRepaired.of(row, why))
        still_owner()
        begun.done(after.sides.versions)
        closed = conflicts.repaired(lambda row: is_resolved(row, after))
        return _done(work, after.comparison, closed)


def _mend_the_rest(
    compare_again: Callable[[], Compared],
    mender_of: Callable[[BothSides], AbstractContextManager[Mender]],
    say: Say,
) -> tuple[Compared, Mender]:
    """Mend what a comparison shows to be left, as long as that changes something. The last comparison, and
    the mender that was opened last."""
    after = compare_again()
    for _ in range(AGAIN):
        with mender_of(after.sides) as mender:
            if not mender.left(after.comparison.differences):
                break
        say("Comparing once more, as more was mended.")
        after = compare_again()
    return after, mender


def _met_at(checkpoint: Checkpoint | None, conflicts: ConflictTable) -> int:
    """From which mutation id on changes at the destination are its own; 0 if nobody knows. Runs can have
    stopped before the first checkpoint."""
    if checkpoint is not None and checkpoint.contact:
        return checkpoint.contact
    return conflicts.own_from() if conflicts.stopped_at() is not None else 0


def _done(work: Work, after: Comparison | None, conflicts: int) -> Repair:
    return Repair(
        changes=tuple(work.changes),
        not_repaired=tuple(dict.fromkeys(work.not_repaired)),
        after=after,
        pending=tuple(dict.fromkeys(work.pending)),
        own_edits=tuple(work.own_edits),
        conflicts=conflicts,
    )


def _tell_of_children(sides: BothSides, say: Say) -> None:
    """Say which child versions change along with a repaired one: what they take over from it, and have not
    changed themselves."""
    if not sides.chosen:
        return
    repo = sides.destination_repo
    for uuid in sides.versions:
        below = [each.uuid for each in repo.versions.values() if uuid in each.parents]
        if below:
            say(
                f"{uuid}: what its children {', '.join(below)} take over from it, and have not changed "
                f"themselves, changes with it: compare them too"
            )


def mend(mender: Mender, say: Say) -> None:
    """Instances first, then each version after its parents, then the counters."""
    mender.instances()
    for version in mender.versions():
        if mender.version(version):
            mender.items(version)
            mender.finish_version(version)
            say(f"{version}: done")
    mender.counters()
