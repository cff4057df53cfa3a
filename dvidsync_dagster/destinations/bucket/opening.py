"""Opening a bucket as a destination."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from dvidsync_dagster.config import BucketConfig, SyncConfig
from dvidsync_dagster.destinations.bucket.compared import BucketBesideSource
from dvidsync_dagster.destinations.bucket.configured_bucket import bucket_of
from dvidsync_dagster.destinations.bucket.destination import BucketDestination
from dvidsync_dagster.destinations.bucket.repaired import SnapshotRepair
from dvidsync_dagster.destinations.source import Source
from dvidsync_dagster.dvid.transport import Transport


@contextmanager
def opened_bucket(
    destination: BucketConfig,
    source: Source,
    *,
    still_owner: Callable[[], None],
    note: Callable[[str], None],
) -> Iterator[BucketDestination]:
    """See `destinations.kinds.Opener`. The bucket is asked for nothing before the run meets it."""
    bucket = bucket_of(destination)
    with BucketDestination(destination, bucket, source, still_owner=still_owner, note=note) as opened:
        yield opened


def opened_beside_source(
    config: SyncConfig, destination: BucketConfig, source: Transport
) -> AbstractContextManager[BucketBesideSource]:
    """Open a bucket for a comparison.

    Args:
        source: of the source, open.
    """
    return nullcontext(
        BucketBesideSource(
            destination, bucket_of(destination), source, config.repo, _followed(config, destination)
        )
    )


def opened_for_repair(
    config: SyncConfig, destination: BucketConfig, source: Transport, still_owner: Callable[[], None]
) -> SnapshotRepair:
    """Open a bucket for a repair.

    Args:
        source: of the source, open.
        still_owner: raises OwnershipLost if a newer run owns the destination.
    """
    return SnapshotRepair(
        destination, bucket_of(destination), source, config.repo, _followed(config, destination), still_owner
    )


def _followed(config: SyncConfig, destination: BucketConfig) -> Callable[[str], bool]:
    """Whether a run follows an instance, by its name."""
    chosen = None if config.instances == "all" else {choice.name for choice in config.instances}
    return lambda name: name not in destination.own and (chosen is None or name in chosen)
