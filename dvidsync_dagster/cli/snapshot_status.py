"""What ``dvidsync status`` tells of a snapshot in a bucket."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dvidsync_dagster.cli.output import echo
from dvidsync_dagster.events.origin import key_text
from dvidsync_dagster.outgoing_text import counted, escaped

if TYPE_CHECKING:
    import dagster as dg

    from dvidsync_dagster.config import BucketConfig
    from dvidsync_dagster.log.checkpoint import Checkpoint
    from dvidsync_dagster.orchestration.followers import Follower
    from dvidsync_dagster.snapshot.pointer import BranchState, Snapshot


def tell_snapshot(
    instance: dg.DagsterInstance, follower: Follower, destination: BucketConfig
) -> Checkpoint | None:
    """Its version, moment and tables, and its last maintenance; gives its own checkpoint, which counts.

    Raises:
        ConfigurationError: the bucket cannot be opened.
        StorageError: it does not answer, or is damaged.
    """
    # What reads tables is an optional part of the installation.
    from dvidsync_dagster.destinations.bucket.configured_bucket import bucket_of
    from dvidsync_dagster.snapshot.pointer import Pointer

    snapshot = Pointer.load(bucket_of(destination))
    state = snapshot.branches.get(destination.branch) if snapshot is not None else None
    if snapshot is None or state is None:
        echo("  snapshot    none yet: the first run makes it")
        return None
    _tell(snapshot, state)
    if snapshot.checkpoint is not None:
        _tell_maintenance(instance, follower)
    return snapshot.checkpoint


def _tell(snapshot: Snapshot, state: BranchState) -> None:
    if snapshot.checkpoint is None:
        echo(f"  snapshot    of version {escaped(state.uuid)}, still being made; the next run goes on")
    else:
        kept = counted(len(snapshot.pins), "committed version")
        echo(f"  snapshot    of version {escaped(state.uuid)} at {key_text(state.log_time_ns)}; keeps {kept}")
    width = max(map(len, state.tables), default=0)
    for path, table in sorted(state.tables.items()):
        echo(f"    {escaped(path):{width}}  {counted(table.rows, 'row')}")


def _tell_maintenance(instance: dg.DagsterInstance, follower: Follower) -> None:
    from dvidsync_dagster.orchestration.maintenance_job import last_maintenance

    ended = last_maintenance(instance, follower)
    told = "none yet" if ended is None else datetime.fromtimestamp(ended, UTC).isoformat(timespec="seconds")
    echo(f"  maintained  {told}")
