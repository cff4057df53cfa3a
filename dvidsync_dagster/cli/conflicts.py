"""``dvidsync conflicts``."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dvidsync_dagster.cli import arguments
from dvidsync_dagster.cli.exit_codes import DONE, exit_codes, remembered, worst
from dvidsync_dagster.errors import ConfigurationError

if TYPE_CHECKING:
    from dvidsync_dagster.log.conflicts import KeptConflict
    from dvidsync_dagster.orchestration.followers import Follower


@click.group()
def conflicts() -> None:
    """Operations that a destination could not take, over all runs.

    A row is open while source and destination differ by it.
    """


@conflicts.command("list")
@arguments.config
@arguments.destination
@arguments.json
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, with a line of names first.")
@click.option("--open", "only_open", is_flag=True, help="Without those that are closed.")
@arguments.verbose
def list_conflicts(
    config: Path, destination: str | None, as_json: bool, as_csv: bool, only_open: bool, verbose: bool
) -> None:
    """List what was left out, why, and what it depends on; and what became of it."""
    from dvidsync_dagster.log.conflicts import conflicts_of

    def rows_of(follower: Follower) -> list[KeptConflict]:
        rows = conflicts_of(follower.config, follower.name).rows()
        return [kept for kept in rows if kept.state == "open" or not only_open]

    with exit_codes(verbose):
        if as_json and as_csv:
            raise ConfigurationError("--csv", "stands beside --json", "Choose one of them.")
        codes: list[int] = []
        found: dict[str, list[KeptConflict]] = {}
        for follower in arguments.chosen_destinations(config, destination):
            with remembered(codes, follower.title, verbose):
                found[follower.title] = rows_of(follower)
                codes.append(DONE)
        if as_json:
            told = {title: [kept.as_json() for kept in rows] for title, rows in found.items()}
            click.echo(json.dumps(told, indent=2))
        elif as_csv:
            _write_csv(found)
        else:
            _print(found)
        sys.exit(worst(codes))


def _write_csv(found: dict[str, list[KeptConflict]]) -> None:
    from dvidsync_dagster.log.conflicts import COLUMNS

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["destination", *COLUMNS])
    for title, rows in found.items():
        for kept in rows:
            cells = kept.as_json()
            lists = {name: " ".join(cells[name]) for name in ("touched", "depends_on")}
            writer.writerow([title, *({**cells, **lists}[name] for name in COLUMNS)])


def _print(found: dict[str, list[KeptConflict]]) -> None:
    for title, rows in found.items():
        still = sum(kept.state == "open" for kept in rows)
        click.echo(f"{title}: {still:,} open, {len(rows) - still:,} closed")
        for kept in rows:
            cells = kept.as_json()
            number = "" if cells["mutation_id"] is None else f" {cells['mutation_id']}"
            click.echo(
                f"  {cells['state']:6} {cells['time']}  {cells['action']}{number} of {cells['instance']} in "
                f"{cells['version']}: {cells['found']}"
            )
            if cells["why_closed"]:
                click.echo(f"         closed {cells['closed']}: {cells['why_closed']}")
