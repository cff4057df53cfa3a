"""``dvidsync run``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dvidsync_dagster.cli import arguments
from dvidsync_dagster.cli.bar import progress_bar
from dvidsync_dagster.cli.exit_codes import DONE, LEFT_OUT, RUN_EXIT_CODES, exit_codes, remembered, worst
from dvidsync_dagster.cli.output import echo
from dvidsync_dagster.errors import ConfigurationError
from dvidsync_dagster.outgoing_text import counted

if TYPE_CHECKING:
    import dagster as dg

    from dvidsync_dagster.orchestration.followers import Follower


@click.command(epilog=RUN_EXIT_CODES)
@arguments.config
@arguments.destination
@click.option(
    "--windows",
    metavar="A..B",
    help="Cover these windows, such as 2026-01-31..2026-02-02, in place of all from the checkpoint to now.",
)
@arguments.verbose
def run(config: Path, destination: str | None, windows: str | None, verbose: bool) -> None:
    """Run each destination's job once, and the archive's, in the Dagster instance of DAGSTER_HOME.

    CONFIG is a YAML file (the fields themselves, or a component's defs.yaml), or the JSON of the first
    dvidsync.
    """
    with exit_codes(verbose):
        span = _span(windows)
        chosen = arguments.chosen_followers(config, destination)
        instance = arguments.dagster_instance()
        codes: list[int] = []
        for follower in chosen:
            with remembered(codes, follower.title, verbose):
                codes.append(_run(instance, follower, span))
        sys.exit(worst(codes))


def _run(instance: dg.DagsterInstance, follower: Follower, windows: tuple[str, str] | None) -> int:
    from dvidsync_dagster.orchestration.once import run_once

    echo(f"{follower.title}: {follower.text}")
    with progress_bar() as (say, track):
        summary = run_once(instance, follower, windows, say, track)
    echo(
        f"{follower.title}: done. {counted(summary.records, 'record')}, "
        f"{counted(summary.operations, 'operation')}, "
        f"{counted(summary.requests, 'request')}"
    )
    if not summary.left_something_out:
        return DONE
    echo(
        f"{follower.title}: LEFT OUT: {counted(summary.conflicts, 'operation')} skipped, "
        f"{counted(summary.quarantined, 'record')} quarantined (`dvidsync conflicts list`, "
        f"`dvidsync quarantine list`). Run {summary.run_id} of Dagster tells of them.",
        err=True,
    )
    return LEFT_OUT


def _span(windows: str | None) -> tuple[str, str] | None:
    if windows is None:
        return None
    first, dots, last = windows.partition("..")
    if not first or (dots and not last):
        raise ConfigurationError("--windows", f"{windows!r} is not A..B", "Write it as FIRST..LAST.")
    return first, last if dots else first
