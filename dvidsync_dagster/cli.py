"""The ``dvidsync`` command."""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from dvidsync_dagster.config import load_configs
from dvidsync_dagster.errors import ConfigurationError, DvidSyncError

if TYPE_CHECKING:
    import dagster as dg

    from dvidsync_dagster.log.checkpoint import Checkpoint
    from dvidsync_dagster.look import Look
    from dvidsync_dagster.orchestration.followers import Follower

    Answer = tuple[bool, dict[str, Any], str]
    """Whether source and destination agree, and what to tell as JSON and as text."""

DONE, FAILED, WRONG_CONFIGURATION, LEFT_OUT, DIFFERENT = 0, 1, 2, 3, 4

_EXIT_CODES = """
\b
Exit codes:
  0  everything up to the cut was applied
  3  the same, but something was skipped or quarantined
  2  the configuration is wrong
  1  any other failure
"""
_COMPARE_EXIT_CODES = """
\b
Exit codes:
  0  source and destinations agree (a dry run: they would)
  4  they differ
  2  the configuration is wrong
  1  any other failure
"""

_verbose = click.option("--verbose", is_flag=True, help="Show tracebacks.")
_config = click.argument("config", type=click.Path(path_type=Path))
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON; progress goes to stderr.")
_destination = click.option(
    "--destination", metavar="NAME", help="Only this one (`mutation_log`: the archive)."
)


@click.group()
@click.version_option(package_name="dvidsync-dagster")
def main() -> None:
    """Copies of DVID servers that follow their source."""


@main.command(epilog=_EXIT_CODES)
@_config
@_destination
@click.option(
    "--windows",
    metavar="A..B",
    help="Cover these windows, such as 2026-01-31..2026-02-02, in place of all from the checkpoint to now.",
)
@_verbose
def run(config: Path, destination: str | None, windows: str | None, verbose: bool) -> None:
    """Run each destination's job once, and the archive's, in the Dagster instance of DAGSTER_HOME.

    CONFIG is a YAML file (the fields themselves, or a component's defs.yaml), or the JSON of the first
    dvidsync.
    """
    with _exit_codes(verbose):
        span = _span(windows)
        chosen = _chosen(config, destination)
        instance = _instance()
        codes: list[int] = []
        for follower in chosen:
            with _remembered(codes, follower.title, verbose):
                codes.append(_run(instance, follower, span))
        # The worst one, where a failure hides a wrong configuration and that what was left out.
        sys.exit(next(code for code in (FAILED, WRONG_CONFIGURATION, LEFT_OUT, DONE) if code in codes))


@main.command(epilog=_EXIT_CODES)
@_config
@_destination
@_verbose
def status(config: Path, destination: str | None, verbose: bool) -> None:
    """Show each destination's checkpoint, its lag, and both positions in every partition of the log."""
    with _exit_codes(verbose):
        chosen = _chosen(config, destination)
        instance = _instance()
        for follower in chosen:
            _status(instance, follower)


@main.command(epilog=_COMPARE_EXIT_CODES)
@_config
@_destination
@_json
@click.option("--all", "everything", is_flag=True, help="Read again what is committed and agreed before.")
@_verbose
def verify(config: Path, destination: str | None, as_json: bool, everything: bool, verbose: bool) -> None:
    """Compare each destination with its source, completely: versions, labels, keys, neurons, elements.

    Best while the source is quiet: what the destination has not followed yet is a difference.
    """
    from dvidsync_dagster.orchestration.compare_once import verify_once
    from dvidsync_dagster.repair.text import comparison_text

    def compare(instance: dg.DagsterInstance, follower: Follower) -> Answer:
        made = verify_once(instance, follower, _progress(as_json), everything=everything)
        return made.agree, made.as_json(), comparison_text(made)

    _each_destination(config, destination, as_json, verbose, compare)


@main.command(epilog=_COMPARE_EXIT_CODES)
@_config
@_destination
@_json
@click.option("--dry-run", is_flag=True, help="Show what would be changed, and change nothing.")
@_verbose
def repair(config: Path, destination: str | None, as_json: bool, dry_run: bool, verbose: bool) -> None:
    """Bring each destination to its source's state where they differ, and compare again.

    What the destination's configuration names as its `own` is never touched.
    """
    from dvidsync_dagster.orchestration.compare_once import repair_once
    from dvidsync_dagster.repair.text import repair_text

    def mend(instance: dg.DagsterInstance, follower: Follower) -> Answer:
        done = repair_once(instance, follower, _progress(as_json), dry_run=dry_run)
        return done.complete, done.as_json(), repair_text(done)

    _each_destination(config, destination, as_json, verbose, mend)


def _each_destination(
    config: Path,
    name: str | None,
    as_json: bool,
    verbose: bool,
    work: Callable[[dg.DagsterInstance, Follower], Answer],
) -> None:
    """Do something with each destination, print what it gives, and exit by it."""
    with _exit_codes(verbose):
        chosen = [follower for follower in _chosen(config, name) if follower.is_destination]
        if not chosen:
            raise ConfigurationError("--destination", f"{name!r} is no destination", "Name a destination.")
        instance = _instance()
        codes: list[int] = []
        told: dict[str, Any] = {}
        for follower in chosen:
            with _remembered(codes, follower.title, verbose):
                good, told[follower.title], text = work(instance, follower)
                codes.append(DONE if good else DIFFERENT)
                if not as_json:
                    click.echo(f"{follower.title}: {text}")
        if as_json:
            click.echo(json.dumps(told, indent=2))
        sys.exit(next(code for code in (FAILED, WRONG_CONFIGURATION, DIFFERENT, DONE) if code in codes))


def _progress(as_json: bool) -> Callable[[str], None]:
    return lambda line: click.echo(f"  {line}", err=as_json)


def _run(instance: dg.DagsterInstance, follower: Follower, windows: tuple[str, str] | None) -> int:
    from dvidsync_dagster.orchestration.once import run_once

    click.echo(f"{follower.title}: {follower.text}")
    summary = run_once(instance, follower, windows, lambda line: click.echo(f"  {line}"))
    click.echo(
        f"{follower.title}: done. {summary.records:,} records, {summary.operations:,} operations, "
        f"{summary.requests:,} requests"
    )
    if not summary.left_something_out:
        return DONE
    click.echo(
        f"{follower.title}: LEFT OUT: {summary.conflicts:,} operations skipped, {summary.quarantined:,} "
        f"records quarantined. They are listed in run {summary.run_id} of Dagster.",
        err=True,
    )
    return LEFT_OUT


def _status(instance: dg.DagsterInstance, follower: Follower) -> None:
    from dvidsync_dagster.log.record import key_text
    from dvidsync_dagster.orchestration.ticks import known_checkpoint, run_under_way

    click.echo(f"{follower.title}: {follower.text}")
    checkpoint = known_checkpoint(instance, follower)
    if checkpoint is None:
        click.echo("  checkpoint  none yet")
    else:
        reached = key_text(checkpoint.key) if checkpoint.key else "offsets only"
        state = "ended in order" if checkpoint.clean else "did not end in order, or is going on"
        click.echo(f"  checkpoint  {reached}, epoch {checkpoint.epoch}; its run {state}")
    busy = run_under_way(instance, follower)
    if busy is not None:
        click.echo(f"  run         {busy.skip_message}")
    if follower.look is not None:
        _positions(follower.look(checkpoint), checkpoint)


def _positions(seen: Look, checkpoint: Checkpoint | None) -> None:
    from dvidsync_dagster.orchestration.metadata import lag_text
    from dvidsync_dagster.report import Lag

    seconds = (seen.clock - checkpoint.key) / 1e9 if checkpoint is not None and checkpoint.key else 0.0
    click.echo(f"  lag         {lag_text(Lag(seen.waiting, seconds))}")
    width = max((len(position.topic) for position in seen.positions), default=5)
    click.echo(f"  {'topic':{width}} partition      begins    next      ends   waiting")
    for position in seen.positions:
        following = "-" if position.next is None else str(position.next)
        click.echo(
            f"  {position.topic:{width}} {position.partition:9} {position.beginning:11} {following:>7} "
            f"{position.end:9} {position.waiting:9}"
        )


def _chosen(path: Path, name: str | None) -> list[Follower]:
    from dvidsync_dagster.orchestration.component import fill_templates
    from dvidsync_dagster.orchestration.followers import followers

    configs = load_configs(path, fill_templates=fill_templates)
    every = [follower for config in configs for follower in followers(config)]
    chosen = [follower for follower in every if name in (None, follower.name)]
    if not chosen:
        known = ", ".join(sorted({follower.name for follower in every}))
        raise ConfigurationError("--destination", f"there is none named {name!r}", f"Known: {known}.")
    return chosen


def _instance() -> dg.DagsterInstance:
    """The instance of DAGSTER_HOME, which holds the checkpoints: never one that is thrown away."""
    import dagster as dg

    home = os.environ.get("DAGSTER_HOME")
    remedy = (
        "Set it to the folder of the Dagster instance that keeps the checkpoints, the same as for "
        "`dagster dev`: for a new one, `export DAGSTER_HOME=$HOME/.dvidsync; mkdir -p $DAGSTER_HOME`."
    )
    if not home:
        raise ConfigurationError("DAGSTER_HOME", "this environment variable is not set", remedy)
    if not Path(home).is_absolute() or not Path(home).is_dir():
        raise ConfigurationError("DAGSTER_HOME", f"{home!r} is not the absolute path of a folder", remedy)
    return dg.DagsterInstance.get()


def _span(windows: str | None) -> tuple[str, str] | None:
    if windows is None:
        return None
    first, dots, last = windows.partition("..")
    if not first or (dots and not last):
        raise ConfigurationError("--windows", f"{windows!r} is not A..B", "Write it as FIRST..LAST.")
    return first, last if dots else first


@contextmanager
def _exit_codes(verbose: bool) -> Iterator[None]:
    """Turn errors into messages and exit codes, and SIGTERM into an orderly end."""
    codes: list[int] = []
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        with _remembered(codes, "dvidsync", verbose):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)
    if codes:
        sys.exit(codes[0])


@contextmanager
def _remembered(codes: list[int], title: str, verbose: bool) -> Iterator[None]:
    try:
        yield
    except ConfigurationError as error:
        codes.append(WRONG_CONFIGURATION)
        _tell(title, error, verbose)
    except Exception as error:
        codes.append(FAILED)
        _tell(title, error, verbose)


def _tell(title: str, error: Exception, verbose: bool) -> None:
    if verbose:
        traceback.print_exception(error)
    known = isinstance(error, DvidSyncError)
    text = str(error) if known else f"{type(error).__name__}: {error}"
    hint = "" if known or verbose else " (--verbose shows where)"
    click.echo(f"{title}: {text}{hint}", err=True)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
