"""One run in this process, in the same Dagster instance as the scheduled ones."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass

import dagster as dg

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.errors import ConfigurationError, DvidSyncError
from dvidsync_dagster.orchestration import metadata as meta
from dvidsync_dagster.orchestration.abandoned import held
from dvidsync_dagster.orchestration.build import build_definitions
from dvidsync_dagster.orchestration.failing import own_errors
from dvidsync_dagster.orchestration.followers import Follower
from dvidsync_dagster.orchestration.partitions import Windows, range_tags
from dvidsync_dagster.orchestration.pools import limit_to_one
from dvidsync_dagster.orchestration.ticks import next_run_tags, run_under_way

Track = Callable[[int, int], None]
"""Is told of each chunk: its records, and how many are left."""

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class RunSummary:
    """What a run came to: sums over its chunks."""

    run_id: str
    records: int
    operations: int
    requests: int
    conflicts: int
    quarantined: int

    @property
    def left_something_out(self) -> bool:
        return bool(self.conflicts or self.quarantined)


class Busy(DvidSyncError):
    """Another run is under way."""


def run_once(
    instance: dg.DagsterInstance,
    follower: Follower,
    windows: tuple[str, str] | None,
    say: Callable[[str], None],
    track: Track | None = None,
) -> RunSummary:
    """Run a follower's job once.

    Args:
        windows: the first and the last window to cover; None goes from the checkpoint to now.
        say: gets lines for each chunk that is done.
        track: gets each chunk's numbers.

    Raises:
        Busy: another run is under way.
        DvidSyncError: what the run raised.
    """
    config, name = follower.config, follower.job
    under_way = run_under_way(instance, follower)
    if under_way is not None:
        raise Busy(
            f"{under_way.skip_message} Wait for it. If its process is dead, terminate it in Dagster's list "
            f"of runs."
        )
    tags = (
        next_run_tags(instance, follower)
        if windows is None
        else dict(range_tags(*checked_windows(config, *windows)))
    )
    limit_to_one(instance, follower.pool)
    job = build_definitions(config, tables={}).resolve_job_def(name)
    run_id = str(uuid.uuid4())
    instance.add_event_listener(run_id, _Listener(say, track))
    with held(instance, run_id), own_errors():
        result = job.execute_in_process(instance=instance, run_id=run_id, tags=tags, run_config=QUIET)
    return _summary(result)


class _Listener:
    """Passes on what the run itself says, as it is. Dagster's own events are kept for its pages."""

    def __init__(self, say: Callable[[str], None], track: Track | None) -> None:
        self._say = say
        self._track = track
        self._chunks = 0

    def __call__(self, entry: dg.EventLogEntry) -> None:
        if entry.dagster_event is None:
            self._say(entry.user_message)
        elif self._track is not None and entry.asset_materialization is not None:
            told = entry.asset_materialization.metadata
            # Tables have materializations too, without a number; a chunk can have several.
            if meta.number(told, meta.CHUNK) > self._chunks:
                self._chunks += 1
                self._track(int(meta.number(told, meta.RECORDS)), int(meta.number(told, meta.LAG_RECORDS)))


def checked_windows(config: SyncConfig, first: str, last: str) -> tuple[str, str]:
    """Both windows, if there are such.

    Raises:
        ConfigurationError: one is no window of the configuration, or they are in the wrong order.
    """
    definition = Windows.of(config).definition
    for window in (first, last):
        if not definition.has_partition_key(window):
            raise ConfigurationError(
                "--windows",
                f"{window!r} is no window",
                f"Windows are {config.windows.every}, from {definition.get_first_partition_key()} to "
                f"{definition.get_last_partition_key()}.",
            )
    if first > last:
        raise ConfigurationError("--windows", f"{last} is before {first}", "Write the earlier one first.")
    return first, last


def _summary(result: dg.ExecuteInProcessResult) -> RunSummary:
    # A chunk that touched several windows left a materialization in each.
    chunks = {
        int(meta.number(event.materialization.metadata, meta.CHUNK)): event.materialization.metadata
        for event in result.get_asset_materialization_events()
    }

    def total(key: str) -> int:
        return sum(int(meta.number(metadata, key)) for metadata in chunks.values())

    return RunSummary(
        run_id=result.run_id,
        records=total(meta.RECORDS),
        operations=total(meta.OPERATIONS),
        requests=total(meta.REQUESTS),
        conflicts=total(meta.CONFLICTS),
        quarantined=total(meta.QUARANTINED),
    )
