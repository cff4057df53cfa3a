"""The whole repair of a destination: compare, change, compare again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from dvidsync_dagster.compare.both_sides import look_at, opened_source
from dvidsync_dagster.compare.comparison import compare_sides
from dvidsync_dagster.compare.later import LaterRecords
from dvidsync_dagster.compare.reading import Say
from dvidsync_dagster.config import AnyDestination, SyncConfig
from dvidsync_dagster.differences.mender import Mender
from dvidsync_dagster.differences.work import NotRepaired, Repair, Work
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.repair.menders import opened_mending
from dvidsync_dagster.repair.pending import PendingRecords


def repair(
    config: SyncConfig,
    destination: AnyDestination,
    *,
    dry_run: bool,
    still_owner: Callable[[], None],
    checkpoint: Checkpoint | None = None,
    stuck: bool = False,
    say: Say = lambda _: None,
) -> Repair:
    """Bring a destination to its source's state, as far as that can be done.

    Nothing else may write to the destination in the meantime. It can be interrupted and started again.

    Args:
        checkpoint: from which on the log brings what it tells of, so that it is left alone. Without, a repair
            runs ahead of the log.
        stuck: the destination cannot follow. Then the repair runs ahead of what the log tells up to now.
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
        look = partial(look_at, config, destination, source, mending.follower)
        sides = look()
        work = Work(dry_run, mending.reads_at_once, shares_ids=sides.own.practises)
        with LaterRecords(config, sides, checkpoint, say, from_now=stuck) as later:
            pending = PendingRecords(later, config.settle_seconds)
            with mending.mender(sides, look, pending, work) as mender:
                mend(mender, say)
        if dry_run:
            return Repair(tuple(work.changes), tuple(work.not_repaired), None, tuple(work.pending))
        say("Comparing once more.")
        after = compare_sides(config, destination, source, mending.follower, reached=lambda: checkpoint)
        for row in after.differences:
            if (why := mender.why_left(row)) is not None:
                work.not_repaired.append(NotRepaired.of(row, why))
        return Repair(tuple(work.changes), tuple(work.not_repaired), after, tuple(work.pending))


def mend(mender: Mender, say: Say) -> None:
    """Instances first, then each version after its parents, then the counters."""
    mender.instances()
    for version in mender.versions():
        if mender.version(version):
            mender.items(version)
            mender.finish_version(version)
            say(f"{version}: done")
    mender.counters()
