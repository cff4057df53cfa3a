"""The kinds of destinations as a repair sees them: each opened beside the source, with what mends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

from dvidsync_dagster.compare.both_sides import BothSides
from dvidsync_dagster.config import AnyDestination, BucketConfig, SyncConfig
from dvidsync_dagster.destinations.kinds import opened_repairable, server_only
from dvidsync_dagster.destinations.protocol import Comparable, Repairable
from dvidsync_dagster.differences.mender import Mender
from dvidsync_dagster.differences.work import Work
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.repair.pending import PendingRecords
from dvidsync_dagster.repair.server_mender import ServerMender

LookAtBoth = Callable[[], BothSides]
Opened = Callable[[BothSides, LookAtBoth, PendingRecords, Work], AbstractContextManager[Mender]]


@dataclass(frozen=True, slots=True)
class Mending:
    """A destination that is open for a repair.

    Args:
        follower: the destination as a side of a comparison.
        reads_at_once: how many requests that read may run side by side.
        mender: opens what mends it; it takes both sides as they are now, and what looks at them again.
    """

    follower: Comparable
    reads_at_once: int
    mender: Opened


@contextmanager
def opened_mending(
    config: SyncConfig,
    destination: AnyDestination,
    source: Transport,
    *,
    dry_run: bool,
    still_owner: Callable[[], None],
    say: Callable[[str], None],
) -> Iterator[Mending]:
    """Open a destination.

    Args:
        source: of the source, open.
        dry_run: nothing is changed.
        still_owner: raises OwnershipLost if a newer run owns the destination.
        say: gets lines on what a repair leaves.

    Raises:
        ConfigurationError: the destination cannot be opened.
        ServerError, StorageError: it does not answer.
        SnapshotDamaged: a snapshot has lost files. If it may change, it has gone back to where it is whole.
    """
    if isinstance(destination, BucketConfig):
        yield _of_bucket(config, destination, source, dry_run, still_owner, say)
        return
    server = server_only(destination, "cannot be repaired")
    with opened_repairable(config, server, source, still_owner=still_owner, note=say) as follower:
        yield Mending(follower, server.requests_in_flight, _server_mender(follower))


def _of_bucket(
    config: SyncConfig,
    destination: BucketConfig,
    source: Transport,
    dry_run: bool,
    still_owner: Callable[[], None],
    say: Callable[[str], None],
) -> Mending:
    # What writes tables is an optional part of the installation.
    from dvidsync_dagster.destinations.bucket.opening import opened_for_repair
    from dvidsync_dagster.repair.bucket_mender import BucketMender

    snapshot = opened_for_repair(config, destination, source, still_owner)
    snapshot.mend_lost(say, dry_run=dry_run)

    def mender(
        sides: BothSides, _look: LookAtBoth, pending: PendingRecords, work: Work
    ) -> AbstractContextManager[Mender]:
        return nullcontext(BucketMender(sides, pending, work, snapshot, say))

    return Mending(snapshot, 1, mender)


def _server_mender(follower: Repairable) -> Opened:
    @contextmanager
    def opened(sides: BothSides, look: LookAtBoth, pending: PendingRecords, work: Work) -> Iterator[Mender]:
        with follower.commands(sides.is_compared, sides.names_at_destination) as commands:
            yield ServerMender(
                sides, look, pending, work, commands, changes_committed=follower.changes_committed
            )

    return opened
