"""The ``dvidsync`` command: a module per command, each with what it prints and how it ends."""

from __future__ import annotations

import click

from dvidsync_dagster.cli import compare, conflicts, practice, quarantine, run, status


@click.group()
@click.version_option(package_name="dvidsync-dagster")
def main() -> None:
    """Copies of DVID servers that follow their source."""


for _command in (
    run.run,
    status.status,
    compare.verify,
    compare.repair,
    practice.practice,
    quarantine.quarantine,
    conflicts.conflicts,
):
    main.add_command(_command)
