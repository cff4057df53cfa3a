"""``python -m demo``: see `--help`."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path
from types import FrameType

import click

from demo.servers import Servers, servers
from demo.setting import BUCKET, Setting, empty_folder
from demo.ui import dagster_ui
from dvid_sandbox.errors import SandboxError
from dvidsync_dagster.errors import DvidSyncError

UP, DOWN = "copy", "spare"
"""The server of one destination goes down for a while."""


@click.command()
@click.option("--once", is_flag=True, help="End after the runs; exit code 1 if the copies differ.")
@click.option("--broker", metavar="HOST:PORT", help="A Kafka broker, in place of the embedded one.")
@click.option("--port", default=3000, show_default=True, help="Of the UI, if it is free.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
    default=".demo",
    show_default=True,
    help="Where all of it is kept. It is emptied first.",
)
def main(once: bool, broker: str | None, port: int, folder: Path) -> None:
    """Three sandbox servers, people who work on one of them, and runs that let the others and a snapshot in a
    folder follow."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Set even where they were ignored, so that they reach what is started here.
        signal.signal(number, _interrupt)
    try:
        with empty_folder(folder):
            setting = Setting(folder)
            with servers(folder / "servers", broker) as started:
                setting.write(started)
                same = _story(started, setting)
                if not once:
                    _serve(started, setting, folder / "dagster.log", port)
    except KeyboardInterrupt:
        click.echo("\nEnded.")
        sys.exit(0 if not once else 130)
    except (DvidSyncError, SandboxError, RuntimeError) as error:
        click.secho(f"demo: {error}", fg="red", err=True)
        sys.exit(2)
    sys.exit(0 if same else 1)


def _story(started: Servers, setting: Setting) -> bool:
    # Dagster takes seconds to load: only now, when the servers run.
    import dagster as dg

    from demo import story
    from dvidsync_dagster.config import load_configs

    story.tell_servers(started)
    (config,) = load_configs(setting.config)
    with dg.DagsterInstance.get() as instance:
        story.work(started)
        complete = story.run(started, config, instance)
        with story.outage(started, setting, DOWN):
            story.work(started)
            complete &= story.run(started, config, instance, without=DOWN)
            same = story.verify(config, instance, UP)
        story.work_silently(started)
        complete &= story.run(started, config, instance)
        for name in started.destinations:
            story.verify(config, instance, name)
        story.verify(config, instance, BUCKET)
        for name in (*started.destinations, BUCKET):
            same &= story.repair(config, instance, name)
        same &= story.verify(config, instance, BUCKET)
        story.tell_snapshot(setting)
    same &= complete
    click.secho(
        "\nAll agree." if same else "\nNot everything was applied or agreed: see above.",
        bold=True,
        fg=None if same else "red",
    )
    return same


def _serve(started: Servers, setting: Setting, log: Path, port: int) -> None:
    from demo import story

    click.echo("\nDagster's UI starts; this takes about half a minute.")
    with dagster_ui(setting.workspace, log, port) as url:
        click.secho(f"\n{url}/assets/demo/copy", bold=True)
        click.echo(
            "  People go on working, and the schedule runs once a minute.\n"
            f"  The configuration is {setting.config}.\n"
            "  Ctrl-C ends all of it."
        )
        story.work_on(started, threading.Event())


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
