"""What the demo does, step by step, and what it tells of it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence

import click
import dagster as dg

from dvidsync_dagster.compare.comparison import compare
from dvidsync_dagster.compare.findings import difference_rows, table
from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.log.record import key_text
from dvidsync_dagster.log.topics import parse_topic
from dvidsync_dagster.orchestration import metadata as meta
from dvidsync_dagster.orchestration.checkpoints import CheckpointStore
from dvidsync_dagster.orchestration.followers import Follower, followers
from dvidsync_dagster.orchestration.once import RunSummary, run_once
from dvidsync_dagster.report import Lag
from dvidsync_dagster.sandbox.demo.servers import Servers
from dvidsync_dagster.sandbox.demo.setting import SETTLE_SECONDS

PIECES_OF_WORK = 600
PIECES_AT_A_TIME = 10
PAUSE_SECONDS = 2.0
MOST_FREQUENT = 8


def tell_servers(servers: Servers) -> None:
    """Where everything is."""
    click.secho("\nA broker, a source, and a copy of the source that is to follow it", bold=True)
    _lines(
        {
            "broker": servers.broker,
            "source": f"{servers.source.url}, repo {servers.repo.root}",
            "destination": f"{servers.destination.url}, a copy of the source's folder",
        }
    )


def work(servers: Servers, pieces: int = PIECES_OF_WORK) -> None:
    """Let people work on the source."""
    click.secho("\nPeople work on the source", bold=True)
    started = time.monotonic()
    done = servers.people.work(pieces)
    kinds = Counter(exchange.kind for exchange in done)
    frequent = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(MOST_FREQUENT))
    _lines({"requests": f"{len(done)} in {time.monotonic() - started:.1f} s: {frequent}, …"})


def run(servers: Servers, config: SyncConfig, instance: dg.DagsterInstance) -> bool:
    """Run the scheduled jobs once, in Dagster. False if something was left out."""
    # What is younger than this is left for the next run, so that no topic is read further than another.
    time.sleep(SETTLE_SECONDS + 0.5)
    left_out = False
    for follower in followers(config):
        click.secho(f"\nThe scheduled job runs: {follower.job}", bold=True)
        summary = run_once(instance, follower, None, lambda line: click.echo(f"  {line}"))
        _tell_run(servers, instance, follower, summary)
        left_out |= summary.left_something_out
    return not left_out


def agreed(config: SyncConfig) -> bool:
    """Compare the destination with the source, whatever the log said."""
    click.secho("\nSource and destination compared", bold=True)
    comparison = compare(config, config.destinations[0])
    click.echo(f"  {comparison.summary()}")
    for note in comparison.notes:
        click.echo(f"  {note}")
    if comparison.differences:
        for line in table(difference_rows(comparison.differences)):
            click.secho(f"  {line}", fg="red")
    return comparison.agree


def work_on(servers: Servers, stop: threading.Event) -> None:
    """Go on working, at an easy pace, until `stop` is set."""
    while not stop.wait(PAUSE_SECONDS):
        servers.people.work(PIECES_AT_A_TIME, stop=stop)


def _tell_run(
    servers: Servers, instance: dg.DagsterInstance, follower: Follower, summary: RunSummary
) -> None:
    names = {uuid: name for name, uuid in servers.repo.data.items()}
    chunks = _chunks(instance, follower, summary.run_id)
    checkpoint = CheckpointStore(instance, follower.key).latest()
    lines = {"run": summary.run_id, "records": f"{summary.records:,} read from the log"}
    if follower.kind == "dvid":
        lines["operations"] = f"{summary.operations:,} that people did, applied at the destination"
        lines["requests"] = f"{summary.requests:,} that it took"
    if chunks:
        before = _lag(chunks[0], meta.LAG_RECORDS_BEFORE, meta.LAG_SECONDS_BEFORE)
        after = _lag(chunks[-1], meta.LAG_RECORDS, meta.LAG_SECONDS)
        lines["lag"] = f"{meta.lag_text(before)} before; {meta.lag_text(after)} after"
    if checkpoint is not None:
        lines["checkpoint"] = _checkpoint_text(checkpoint, names)
    _lines(lines)


def _chunks(
    instance: dg.DagsterInstance, follower: Follower, run_id: str
) -> Sequence[Mapping[str, dg.MetadataValue]]:
    """What the run told of each chunk, in order."""
    records = instance.fetch_materializations(follower.key, limit=100).records
    told = [record.asset_materialization for record in records if record.run_id == run_id]
    return [each.metadata for each in reversed(told) if each is not None]


def _lag(chunk: Mapping[str, dg.MetadataValue], records: str, seconds: str) -> Lag:
    return Lag(int(meta.number(chunk, records)), meta.number(chunk, seconds))


def _checkpoint_text(checkpoint: Checkpoint, names: Mapping[str, str]) -> str:
    done = []
    for topic, partitions in sorted(checkpoint.positions.items()):
        name = parse_topic(topic)
        short = "versions" if name is None or name.data_uuid is None else names[name.data_uuid]
        done.append(f"{short} {sum(position.next for position in partitions.values()):,}")
    return f"up to {key_text(checkpoint.key)}, epoch {checkpoint.epoch}; records: {', '.join(done)}"


def _lines(named: Mapping[str, str]) -> None:
    for name, text in named.items():
        click.echo(f"  {name:12} {text}")
