"""``dvidsync status``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dvidsync_dagster.cli import arguments
from dvidsync_dagster.cli.conflicts import tell_replaced
from dvidsync_dagster.cli.exit_codes import STATUS_EXIT_CODES, exit_codes, remembered, worst
from dvidsync_dagster.cli.output import echo
from dvidsync_dagster.cli.snapshot_status import tell_snapshot
from dvidsync_dagster.config import BucketConfig, DestinationConfig
from dvidsync_dagster.outgoing_text import counted

if TYPE_CHECKING:
    import dagster as dg

    from dvidsync_dagster.log.checkpoint import Checkpoint
    from dvidsync_dagster.orchestration.followers import Follower
    from dvidsync_dagster.run.lag import Look


@click.command(epilog=STATUS_EXIT_CODES)
@arguments.config
@arguments.destination
@arguments.verbose
def status(config: Path, destination: str | None, verbose: bool) -> None:
    """Show each destination's checkpoint, its lag, and both positions in every partition of the log; of a
    bucket also version, tables and last maintenance.

    It only looks, and changes nothing.
    """
    with exit_codes(verbose):
        chosen = arguments.chosen_followers(config, destination)
        instance = arguments.dagster_instance()
        codes: list[int] = []
        for follower in chosen:
            with remembered(codes, follower.title, verbose):
                _status(instance, follower)
        sys.exit(worst(codes))


def _status(instance: dg.DagsterInstance, follower: Follower) -> None:
    from dvidsync_dagster.events.origin import key_text
    from dvidsync_dagster.orchestration.abandoned import is_abandoned
    from dvidsync_dagster.orchestration.checkpoints import CheckpointStore
    from dvidsync_dagster.orchestration.ticks import known_checkpoint, runs_under_way

    echo(f"{follower.title}: {follower.text}")
    destination = follower.config.destination(follower.name) if follower.is_destination else None
    if isinstance(destination, BucketConfig):
        checkpoint = tell_snapshot(instance, follower, destination)
    else:
        checkpoint = known_checkpoint(instance, follower)
    if checkpoint is None:
        echo("  checkpoint  none yet")
    else:
        reached = key_text(checkpoint.key_ns) if checkpoint.key_ns else "offsets only"
        # A bucket has its own, of which Dagster may not know.
        is_dagsters = not isinstance(destination, BucketConfig)
        state = "ended in order" if checkpoint.clean else "did not end in order, or is going on"
        if is_dagsters and not checkpoint.clean and CheckpointStore(instance, follower.key).ended_in_order:
            state = "ended in order, and another job has begun since"
        echo(f"  checkpoint  {reached}, epoch {checkpoint.epoch}; its run {state}")
    for run in runs_under_way(instance, follower):
        gone = is_abandoned(instance, run)
        state = "was killed; the next run goes on from its checkpoint" if gone else run.status.value.lower()
        echo(f"  run         {run.run_id} {state}")
    if follower.look is not None:
        _positions(follower.look(checkpoint), checkpoint)
    if destination is not None:
        _conflicts(follower)
    if isinstance(destination, DestinationConfig):
        _own(follower, destination)


def _conflicts(follower: Follower) -> None:
    """What it could not take, if it ever could not."""
    from dvidsync_dagster.run.conflict_table import conflict_table_of

    counts = conflict_table_of(follower.config, follower.name).counts()
    if counts.open or counts.closed:
        echo(f"  conflicts   {counts}")
    tell_replaced(follower)


def _own(follower: Follower, destination: DestinationConfig) -> None:
    """Where people practise, by what branches."""
    from dvidsync_dagster.differences.own import Own
    from dvidsync_dagster.practice.branches import list_branches

    if destination.practice is not None:
        branches = tuple(list_branches(follower.config, destination))
        echo(f"  own         {Own(branches=branches).line() or 'no practice branch yet'}")


def _positions(seen: Look, checkpoint: Checkpoint | None) -> None:
    from dvidsync_dagster.orchestration.metadata import lag_text
    from dvidsync_dagster.run.report import Lag

    if checkpoint is None:
        echo(f"  lag         nothing is followed yet; the log has {counted(seen.waiting, 'record')}")
    else:
        lag = Lag.at(seen.waiting, seen.clock, checkpoint.key_ns or seen.clock)
        echo(f"  lag         {lag_text(lag)}")
    width = max((len(position.topic) for position in seen.positions), default=5)
    echo(f"  {'topic':{width}} partition      begins    next      ends   waiting")
    for position in seen.positions:
        following = "-" if position.next is None else str(position.next)
        echo(
            f"  {position.topic:{width}} {position.partition:9} {position.beginning:11} {following:>7} "
            f"{position.end:9} {position.waiting:9}"
        )
