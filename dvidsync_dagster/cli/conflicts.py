"""``dvidsync conflicts``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from dvidsync_dagster.cli import arguments
from dvidsync_dagster.cli.csv_lines import echo_csv
from dvidsync_dagster.cli.exit_codes import DONE, exit_codes, remembered, worst
from dvidsync_dagster.cli.output import echo
from dvidsync_dagster.outgoing_text import counted

if TYPE_CHECKING:
    from dvidsync_dagster.orchestration.followers import Follower
    from dvidsync_dagster.run.conflict_table import ConflictTable
    from dvidsync_dagster.run.listed_conflict import State

_NAMED = 20
"""How many bodies or keys a line names."""


@click.group()
def conflicts() -> None:
    """What destinations could not take: operations that were left out, or at which runs stop."""


@conflicts.command("list")
@arguments.config
@arguments.destination
@click.option("--open", "chosen", flag_value="open", help="Only what still differs, as far as is known.")
@click.option("--closed", "chosen", flag_value="closed", help="Only what was applied or repaired since.")
@click.option("--all", "chosen", flag_value="all", default="all", help="Both (the default).")
@click.option(
    "--format", "form", type=click.Choice(["text", "csv", "json"]), default="text", help="How to print it."
)
@arguments.verbose
def list_conflicts(
    config: Path,
    destination: str | None,
    chosen: Literal["open", "closed", "all"],
    form: Literal["text", "csv", "json"],
    verbose: bool,
) -> None:
    """List all rows over all runs, in the order of the log: what it was, why it was left out, what became
    of it."""
    from dvidsync_dagster.run.conflict_table import conflict_table_of

    states: tuple[State, ...] = () if chosen == "all" else (chosen,)
    show = _SHOWN[form]()
    with exit_codes(verbose):
        codes: list[int] = []
        followers = arguments.chosen_destinations(config, destination)
        show.begin()
        for follower in followers:
            with remembered(codes, follower.title, verbose):
                show.table(follower, conflict_table_of(follower.config, follower.name), states)
                codes.append(DONE)
        show.end()
        sys.exit(worst(codes))


class _Text:
    """Lines for people."""

    def begin(self) -> None:
        """Nothing."""

    def table(self, follower: Follower, table: ConflictTable, states: tuple[State, ...]) -> None:
        echo(f"{follower.title}: {table.counts()}, in {table.path}")
        for row in table.rows(*states):
            echo("\n".join(f"  {line}" for line in _lines(row.as_json())))
        tell_replaced(follower)

    def end(self) -> None:
        """Nothing."""


class _Csv:
    """A row a line, with the destination before it."""

    def begin(self) -> None:
        from dvidsync_dagster.run.listed_conflict import COLUMNS

        echo_csv(["destination", *COLUMNS])

    def table(self, follower: Follower, table: ConflictTable, states: tuple[State, ...]) -> None:
        for row in table.rows(*states):
            cells = row.as_json() | {"items": " ".join(row.row.items)}
            echo_csv([follower.title, *cells.values()])

    def end(self) -> None:
        """Nothing."""


class _Json:
    """One list of all rows, each written as it is read."""

    def __init__(self) -> None:
        self._between = ""

    def begin(self) -> None:
        echo("[", nl=False)

    def table(self, follower: Follower, table: ConflictTable, states: tuple[State, ...]) -> None:
        for row in table.rows(*states):
            echo(f"{self._between}\n{json.dumps({'destination': follower.title} | row.as_json())}", nl=False)
            self._between = ","

    def end(self) -> None:
        echo("\n]")


_SHOWN: dict[str, Callable[[], _Text | _Csv | _Json]] = {"text": _Text, "csv": _Csv, "json": _Json}


def tell_replaced(follower: Follower) -> None:
    """How many values runs replaced that may have been people's, if there are any."""
    from dvidsync_dagster.log.replaced import Replaced

    replaced = Replaced(follower.config, follower.name)
    if count := replaced.count():
        echo(f"  replaced    {replaced.text(counted(count, 'value'))}")


def _lines(cells: dict[str, Any]) -> Iterator[str]:
    number = "" if cells["mutation_id"] is None else f" {cells['mutation_id']}"
    by = f" by {cells['user']}" if cells["user"] else ""
    state = "stops runs" if cells["stops_runs"] and cells["state"] == "open" else cells["state"]
    yield (
        f"{state}  {cells['operation']}{number} in {cells['instance'] or 'the repo'}, version "
        f"{cells['version']}{by}, {cells['time']}"
    )
    if items := cells["items"]:
        more = f" and {len(items) - _NAMED:,} more" if len(items) > _NAMED else ""
        yield f"  of          {', '.join(items[:_NAMED])}{more}"
    yield f"  why         {cells['why']}"
    if cells["depends_on"]:
        yield f"  depends on  {cells['depends_on']}"
    yield f"  record      {cells['record']}"
    closed = f"; {cells['closed_by']} {cells['closed']}" if cells["closed"] else ""
    yield f"  listed      {cells['listed']}{closed}"
