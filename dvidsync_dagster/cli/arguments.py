"""What the commands take: their common options, and what these name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dvidsync_dagster.config import load_configs
from dvidsync_dagster.errors import ConfigurationError

if TYPE_CHECKING:
    import dagster as dg

    from dvidsync_dagster.orchestration.followers import Follower

verbose = click.option("--verbose", is_flag=True, help="Show tracebacks.")
config = click.argument("config", type=click.Path(path_type=Path))
json = click.option("--json", "as_json", is_flag=True, help="Print JSON; progress goes to stderr.")
destination = click.option(
    "--destination", metavar="NAME", help="Only this one (`mutation_log`: the archive)."
)


def chosen_followers(path: Path, name: str | None) -> list[Follower]:
    """What the configuration file lets follow, or only those of this name.

    Raises:
        ConfigurationError: the file is wrong, or there is none of this name.
    """
    from dvidsync_dagster.orchestration.followers import followers
    from dvidsync_dagster.orchestration.templates import fill_templates

    configs = load_configs(path, fill_templates=fill_templates)
    every = [follower for config in configs for follower in followers(config)]
    chosen = [follower for follower in every if name in (None, follower.name)]
    if not chosen:
        known = ", ".join(sorted({follower.name for follower in every}))
        raise ConfigurationError("--destination", f"there is none named {name!r}", f"Known: {known}.")
    return chosen


def chosen_destinations(path: Path, name: str | None) -> list[Follower]:
    """The same without the archive.

    Raises:
        ConfigurationError: the file is wrong, or there is no destination of this name.
    """
    chosen = [follower for follower in chosen_followers(path, name) if follower.is_destination]
    if not chosen:
        raise ConfigurationError("--destination", f"{name!r} is no destination", "Name a destination.")
    return chosen


def dagster_instance() -> dg.DagsterInstance:
    """The instance of DAGSTER_HOME, which holds the checkpoints: never one that is thrown away.

    Raises:
        ConfigurationError: DAGSTER_HOME is not set, or names no folder.
    """
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
