"""``dvidsync verify`` and ``dvidsync repair``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dvidsync_dagster.cli import arguments
from dvidsync_dagster.cli.exit_codes import (
    COMPARE_EXIT_CODES,
    DIFFERENT,
    DONE,
    exit_codes,
    remembered,
    worst,
)
from dvidsync_dagster.cli.output import echo

if TYPE_CHECKING:
    import dagster as dg

    from dvidsync_dagster.orchestration.followers import Follower

    Answer = tuple[bool, dict[str, Any], str]
    """Whether source and destination agree, and what to tell as JSON and as text."""


@click.command(epilog=COMPARE_EXIT_CODES)
@arguments.config
@arguments.destination
@arguments.json
@click.option("--all", "everything", is_flag=True, help="Read again what is committed and agreed before.")
@click.option(
    "--versions", metavar="A,B", default="", help="Compare only these: UUIDs, or their first letters."
)
@click.option(
    "--catch-up/--no-catch-up",
    default=True,
    help="Whether the destination may follow to now first. It does, if it was ever followed.",
)
@click.option(
    "--lower-scales", is_flag=True, help="Labelmaps at lower resolutions too: reads all their voxels there."
)
@arguments.verbose
def verify(
    config: Path,
    destination: str | None,
    as_json: bool,
    everything: bool,
    versions: str,
    catch_up: bool,
    lower_scales: bool,
    verbose: bool,
) -> None:
    """Compare each destination with its source, completely: versions, labels, keys, neurons, elements.

    People may work on the source meanwhile: what the log tells of and the destination has not followed is
    pending, and no difference.
    """
    chosen = [name.strip() for name in versions.split(",") if name.strip()]
    from dvidsync_dagster.orchestration.compare_once import verify_once
    from dvidsync_dagster.repair.text import comparison_text

    def compare(instance: dg.DagsterInstance, follower: Follower) -> Answer:
        say = _progress(as_json)
        made = verify_once(
            instance,
            follower,
            say,
            everything=everything,
            versions=chosen,
            lower_scales=lower_scales,
            catch_up=catch_up,
        )
        return made.agree, made.as_json(), comparison_text(made)

    _each_destination(config, destination, as_json, verbose, compare)


@click.command(epilog=COMPARE_EXIT_CODES)
@arguments.config
@arguments.destination
@arguments.json
@click.option(
    "--apply/--dry-run",
    "applies",
    default=False,
    help="Change the destination. Without, only what would be changed is shown.",
)
@click.option(
    "--version",
    metavar="V",
    help="Take only this version back to the source's state: its UUID, or its first letters.",
)
@arguments.verbose
def repair(
    config: Path, destination: str | None, as_json: bool, applies: bool, version: str | None, verbose: bool
) -> None:
    """Show what it takes to bring each destination to its source's state, and with --apply do it.

    It also shows which edits of the destination's own that takes back, and closes the rows of the conflict
    table that it resolves.

    What the destination's configuration names as its `own` is never touched.
    """
    from dvidsync_dagster.orchestration.compare_once import repair_once
    from dvidsync_dagster.repair.text import repair_text

    def mend(instance: dg.DagsterInstance, follower: Follower) -> Answer:
        done = repair_once(instance, follower, _progress(as_json), dry_run=not applies, version=version)
        return done.agree, done.as_json(), repair_text(done)

    _each_destination(config, destination, as_json, verbose, mend)


def _each_destination(
    config: Path,
    name: str | None,
    as_json: bool,
    verbose: bool,
    work: Callable[[dg.DagsterInstance, Follower], Answer],
) -> None:
    """Do something with each destination, print what it gives, and exit by it."""
    with exit_codes(verbose):
        chosen = arguments.chosen_destinations(config, name)
        instance = arguments.dagster_instance()
        codes: list[int] = []
        told: dict[str, Any] = {}
        for follower in chosen:
            with remembered(codes, follower.title, verbose):
                good, told[follower.title], text = work(instance, follower)
                codes.append(DONE if good else DIFFERENT)
                if not as_json:
                    echo(f"{follower.title}: {text}")
        if as_json:
            echo(json.dumps(told, indent=2))
        sys.exit(worst(codes))


def _progress(as_json: bool) -> Callable[[str], None]:
    return lambda line: echo(f"  {line}", err=as_json)
