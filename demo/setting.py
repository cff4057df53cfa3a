"""The demo's folder, and in it the configuration and the Dagster instance."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from demo.servers import Servers
from dvidsync_dagster.errors import ConfigurationError

ADMIN_TOKEN = "DVIDSYNC_DEMO_ADMIN_TOKEN"
SETTLE_SECONDS = 2
BUCKET = "cloud"
"""The destination that is a snapshot, here in a folder."""

_LOCK = "lock"
DAGSTER_YAML = """\
telemetry: {enabled: false}
nux: {enabled: false}               # no pop-up that asks who you are
# Runs whose process died are marked as failed, and free what they held.
run_monitoring: {enabled: true, free_slots_after_run_end_seconds: 60}
concurrency: {pools: {default_limit: 1, granularity: op}}
"""
"""What the README gives people for their own instance."""

_WORKSPACE = """\
load_from:
  - python_module:
      module_name: dvidsync_dagster.definitions
      location_name: dvidsync
"""


@contextmanager
def empty_folder(folder: Path) -> Iterator[None]:
    """Empty the demo's folder, and keep other demos out of it.

    Raises:
        ConfigurationError: another demo is using the folder, or it holds something that is not a demo's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _LOCK
    if not path.exists() and any(folder.iterdir()):
        raise ConfigurationError("--folder", f"{folder} holds other things", "Name an empty folder.")
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                "--folder", f"a demo is running in {folder}", "End it with Ctrl-C, or name another folder."
            ) from None
        for item in folder.iterdir():
            if item.is_dir() and not item.is_symlink():
                shutil.rmtree(item)
            elif item != path:
                item.unlink()
        yield


class Setting:
    """The files of one demo, and the environment that makes Dagster and `dvidsync` use them."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "defs.yaml"
        self.workspace = folder / "workspace.yaml"
        self.home = folder / "dagster"
        self.archive = folder / "archive"
        self.bucket = folder / BUCKET

    def write(self, servers: Servers) -> None:
        """Write the configuration for these servers and set the environment of this process and its own."""
        self.home.mkdir()
        (self.home / "dagster.yaml").write_text(DAGSTER_YAML, encoding="utf-8")
        self.workspace.write_text(_WORKSPACE, encoding="utf-8")
        component = {
            "type": "dvidsync_dagster.DvidSyncComponent",
            "attributes": configuration(servers, self.archive, self.bucket),
        }
        self.config.write_text(yaml.safe_dump(component, sort_keys=False), encoding="utf-8")
        os.environ["DAGSTER_HOME"] = str(self.home)
        os.environ["DVIDSYNC_CONFIG"] = str(self.config)
        os.environ[ADMIN_TOKEN] = servers.source.admin_token


def configuration(servers: Servers, archive: Path, bucket: Path) -> dict[str, Any]:
    """What the destinations need to follow the source: servers, a snapshot in a folder; and an archive."""
    return {
        "name": "demo",
        "source": {"url": servers.source.url},
        "repo": servers.repo.root,
        "destinations": [
            {
                "name": name,
                "url": server.url,
                "admin_token_env": ADMIN_TOKEN,
                "start": {"time": servers.start.isoformat()},
            }
            for name, server in servers.destinations.items()
        ]
        + [{"name": BUCKET, "bucket": str(bucket), "releases": "committed"}],
        "windows": {"every": "hourly", "start_date": servers.start.date().isoformat()},
        "settle_seconds": SETTLE_SECONDS,
        "schedule": "* * * * *",
        "archive": str(archive),
    }
