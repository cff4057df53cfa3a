"""What the demo does, step by step, and what it tells of it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import click
import dagster as dg

from demo.servers import SILENT, Servers, new_people
from demo.setting import SETTLE_SECONDS, Setting
from dvid_sandbox.proofreaders import Proofreaders
from dvidsync_dagster import snapshot
from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.events.origin import key_text
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.log.topics import parse_topic
from dvidsync_dagster.orchestration import metadata as meta
from dvidsync_dagster.orchestration.checkpoints import CheckpointStore
from dvidsync_dagster.orchestration.compare_once import repair_once, verify_once
from dvidsync_dagster.orchestration.followers import Follower, destination_follower, followers
from dvidsync_dagster.orchestration.once import RunSummary, run_once
from dvidsync_dagster.outgoing_text import counted
from dvidsync_dagster.repair.text import comparison_text, repair_text
from dvidsync_dagster.run.report import Lag

PIECES_OF_WORK = 600
PIECES_OF_SILENT_WORK = 40
PIECES_AT_A_TIME = 10
PAUSE_SECONDS = 2.0
MOST_FREQUENT = 8
LINES = 3


def tell_servers(servers: Servers) -> None:
    """Where everything is."""
    click.secho("\nA broker, a source, and two copies of the source that are to follow it", bold=True)
    _lines({"broker": servers.broker, "source": f"{servers.source.url}, repo {servers.repo.root}"})
    for name, server in servers.destinations.items():
        _lines({name: f"{server.url}, a copy of the source's folder"})


def work(servers: Servers) -> None:
    """Let people work on the source."""
    click.secho("\nPeople work on the source", bold=True)
    _tell_work(servers.people, PIECES_OF_WORK)


def work_silently(servers: Servers) -> None:
    """Let people do what the log does not tell: it has no message for a neuron that is deleted, nor for
    elements that are posted with `kafkalog=off`."""
    click.secho("\nPeople also do what no message tells of", bold=True)
    with new_people(servers.source, servers.repo, SILENT) as people:
        _tell_work(people, PIECES_OF_SILENT_WORK)


def run(
    servers: Servers, config: SyncConfig, instance: dg.DagsterInstance, *, without: str | None = None
) -> bool:
    """Run the scheduled jobs once, in Dagster, but for one destination's. False if something was left out."""
    # What is younger than this is left for the next run, so that no topic is read further than another.
    time.sleep(SETTLE_SECONDS + 0.5)
    left_out = False
    for follower in followers(config):
        if follower.name == without:
            continue
        click.secho(f"\nThe scheduled job runs: {follower.job}", bold=True)
        summary = run_once(instance, follower, None, lambda line: click.echo(f"  {line}"))
        _tell_run(servers, instance, follower, summary)
        left_out |= summary.left_something_out
    return not left_out


@contextmanager
def outage(servers: Servers, setting: Setting, name: str) -> Iterator[None]:
    """A destination's server is down meanwhile, and a run of it fails. Nobody else waits for that."""
    click.secho(f"\nThe server of {name} goes down; a run waits for it and gives up", bold=True)
    with servers.down(name):
        command = ["dvidsync", "run", str(setting.config), "--destination", name]
        _lines({"command": " ".join(command)})
        with subprocess.Popen(
            [sys.executable, "-c", "from dvidsync_dagster.cli import main; main()", *command[1:]],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            yield
            _, said = process.communicate()
    click.secho(f"\nMeanwhile, the run of {name}", bold=True)
    _paragraph(said)
    _lines({"exit code": f"{process.returncode}; the server is started again"})


def verify(config: SyncConfig, instance: dg.DagsterInstance, name: str) -> bool:
    """Compare a destination with the source, whatever the log said. True if they agree."""
    click.secho(f"\nSource and {name} compared: dvidsync verify", bold=True)
    comparison = verify_once(instance, _destination(config, name), _quiet)
    _paragraph(comparison_text(comparison))
    return comparison.agree


def tell_snapshot(setting: Setting) -> None:
    """How the snapshot is read, and what is in it."""
    click.secho("\nThe snapshot, for whoever reads tables", bold=True)
    dataset = snapshot.open(str(setting.bucket))
    _lines({name: counted(held.rows, "row") for name, held in dataset.tables.items()})
    click.echo("  In Python:")
    for line in list(dataset.lines("pandas").values())[:LINES]:
        click.echo(f"    {line}")


def repair(config: SyncConfig, instance: dg.DagsterInstance, name: str) -> bool:
    """Bring a destination to the source's state where they differ. True if they agree then."""
    click.secho(f"\nRepaired: dvidsync repair --apply, {name}", bold=True)
    done = repair_once(instance, _destination(config, name), _quiet, dry_run=False)
    _paragraph(repair_text(done))
    return done.agree


def work_on(servers: Servers, stop: threading.Event) -> None:
    """Go on working, at an easy pace, until `stop` is set."""
    while not stop.wait(PAUSE_SECONDS):
        servers.people.work(PIECES_AT_A_TIME, stop=stop)


def _tell_work(people: Proofreaders, pieces: int) -> None:
    started = time.monotonic()
    done = people.work(pieces)
    kinds = Counter(exchange.kind for exchange in done)
    frequent = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(MOST_FREQUENT))
    more = ", …" if len(kinds) > MOST_FREQUENT else ""
    _lines({"requests": f"{len(done)} in {time.monotonic() - started:.1f} s: {frequent}{more}"})


def _tell_run(
    servers: Servers, instance: dg.DagsterInstance, follower: Follower, summary: RunSummary
) -> None:
    names = {uuid: name for name, uuid in servers.repo.data.items()}
    chunks = _chunks(instance, follower, summary.run_id)
    checkpoint = CheckpointStore(instance, follower.key).latest()
    lines = {"run": summary.run_id, "records": f"{summary.records:,} read from the log"}
    if follower.is_destination:
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
    return f"up to {key_text(checkpoint.key_ns)}, epoch {checkpoint.epoch}; records: {', '.join(done)}"


def _lines(named: Mapping[str, str]) -> None:
    for name, text in named.items():
        click.echo(f"  {name:12} {text}")


def _paragraph(text: str) -> None:
    for line in text.splitlines():
        click.echo(f"  {line}")


def _quiet(_line: str) -> None:
    """A line per version is too much here."""


def _destination(config: SyncConfig, name: str) -> Follower:
    return destination_follower(config, config.destination(name))
