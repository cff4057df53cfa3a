"""``dvidsync practice``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dvidsync_dagster.cli import arguments
from dvidsync_dagster.cli.csv_lines import echo_csv
from dvidsync_dagster.cli.exit_codes import DONE, exit_codes, remembered, worst
from dvidsync_dagster.cli.output import echo
from dvidsync_dagster.errors import ConfigurationError
from dvidsync_dagster.outgoing_text import counted, escaped

if TYPE_CHECKING:
    from dvidsync_dagster.config import DestinationConfig
    from dvidsync_dagster.differences.own import PracticeBranch
    from dvidsync_dagster.orchestration.followers import Follower


@click.group()
def practice() -> None:
    """Practice branches: make a fresh one, list them, see what people did there."""


@practice.command("new")
@arguments.config
@arguments.destination
@click.option(
    "--from",
    "from_version",
    metavar="VERSION",
    help="In place of the configured one: `latest commit`, or the first letters of a committed version.",
)
@arguments.verbose
def new(config: Path, destination: str | None, from_version: str | None, verbose: bool) -> None:
    """Make a fresh practice branch now, and commit those that are too old to stay open."""
    from dvidsync_dagster.orchestration.compare_once import practice_once

    with exit_codes(verbose):
        practised = _practised(config, destination)
        instance = arguments.dagster_instance()
        codes: list[int] = []
        for follower, _ in practised:
            with remembered(codes, follower.title, verbose):
                made = practice_once(
                    instance, follower, lambda line: echo(f"  {line}"), from_version=from_version
                )
                echo(f"{follower.title}: practise on {made.branch.name}, {made.branch.last.uuid}")
                codes.append(DONE)
        sys.exit(worst(codes))


@practice.command("list")
@arguments.config
@arguments.destination
@arguments.json
@arguments.verbose
def list_branches(config: Path, destination: str | None, as_json: bool, verbose: bool) -> None:
    """List the practice branches, the oldest first, and how the closed ones can be hidden."""
    from dvidsync_dagster.practice import branches

    with exit_codes(verbose):
        codes: list[int] = []
        told: dict[str, object] = {}
        for follower, server in _practised(config, destination):
            with remembered(codes, follower.title, verbose):
                found = branches.list_branches(follower.config, server)
                told[follower.title] = [branch.as_json() for branch in found]
                if not as_json:
                    _show(follower, found)
                codes.append(DONE)
        if as_json:
            echo(json.dumps(told, indent=2))
        sys.exit(worst(codes))


@practice.command("score")
@arguments.config
@click.argument("branch", required=False)
@arguments.destination
@click.option(
    "--at",
    metavar="VERSION",
    help="Put it beside this version of the source (first letters). Without: the latest commit after the "
    "version that the branch was made from.",
)
@click.option("--csv", "as_csv", type=click.Choice(["users", "decisions"]), help="Print this table as CSV.")
@arguments.json
@arguments.verbose
def score(
    config: Path,
    branch: str | None,
    destination: str | None,
    at: str | None,
    as_csv: str | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """What people did on a practice branch (the newest), and whether the source has it so later.

    By user: merges and cleaves, and how many of them the source has too (yes), in part, or not (no). The
    decisions are each of them, and with `side` source what only the source did to the same bodies.
    """
    from dvidsync_dagster.practice.decisions import USER_COLUMNS, ScoreRow, scores
    from dvidsync_dagster.practice.score import score as score_sheet

    with exit_codes(verbose):
        (follower, server), *others = _practised(config, destination)
        if others:
            names = ", ".join([follower.name, *(each.name for each, _ in others)])
            raise ConfigurationError(
                "--destination", "people practise at several destinations", f"Name one of {names}."
            )
        sheet = score_sheet(follower.config, server, branch, at=at)
        users, rows = scores(sheet.rows), [row.as_json() for row in sheet.rows]
        if as_json:
            echo(json.dumps(sheet.as_json(), indent=2))
        elif as_csv is not None:
            _csv(*((users, USER_COLUMNS) if as_csv == "users" else (rows, ScoreRow.COLUMNS)))
        else:
            echo(f"{sheet.branch}: {sheet.begin} to {sheet.end}, beside {sheet.later} of the source")
            _table(users)
            lacking = sum(row.side == "source" for row in sheet.rows)
            echo(
                f"  {counted(lacking, 'decision')} about the same bodies only the source made "
                f"(--csv decisions)"
            )
            if sheet.not_compared:
                split = ("supervoxel was split, and is", "supervoxels were split, and are")
                echo(f"  {counted(sheet.not_compared, *split)} not compared")


def _practised(path: Path, name: str | None) -> list[tuple[Follower, DestinationConfig]]:
    """The destinations where people practise, or the one of this name."""
    found = [
        (follower, server)
        for follower in arguments.chosen_destinations(path, name)
        for server in follower.config.servers
        if server.name == follower.name and server.practice is not None
    ]
    if not found:
        raise ConfigurationError(
            "destinations" if name is None else f"destinations[{name}]",
            "nobody practises there",
            "Add `practice`, such as `practice: {branch: practice}`.",
        )
    return found


def _show(follower: Follower, branches: list[PracticeBranch]) -> None:
    from dvidsync_dagster.events.origin import key_text

    echo(f"{follower.title}: {counted(len(branches), 'practice branch', 'practice branches')}")
    for branch in branches:
        made = key_text(branch.first.created) if branch.first.created else "-"
        # Where people work, though there may be open branches of their own below it.
        here = branch.open[-1] if branch.last.locked and branch.open else branch.last
        state = f"open at {here.uuid}" if branch.open else "closed"
        echo(
            f"  {escaped(branch.name, 80)}  made {made} from {branch.parent}, "
            f"{counted(len(branch.versions), 'version')}, {state}"
        )
    closed = [branch for branch in branches if not branch.open]
    if closed:
        echo("  closed ones are hidden for good, if you want that, on the destination's machine by:")
    for name in dict.fromkeys(version.branch for branch in closed for version in reversed(branch.versions)):
        echo(f"    dvid repo {follower.config.repo} hide-branch {escaped(name, 80)}")


def _csv(rows: list[dict[str, str | int]], columns: Sequence[str]) -> None:
    echo_csv(columns)
    for row in rows:
        echo_csv(row[column] for column in columns)


def _table(rows: list[dict[str, str | int]]) -> None:
    """Columns of one width."""
    if not rows:
        echo("  nobody merged or cleaved")
        return
    lines = [list(rows[0]), *([str(cell) for cell in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        echo(f"  {'  '.join(cells)}".rstrip())
