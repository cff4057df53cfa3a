"""A small stage: a sandbox server that logs to an embedded broker, and a copy of it that follows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from dvid_sandbox.broker import EmbeddedBroker
from dvid_sandbox.launcher import SandboxServer
from dvid_sandbox.proofreaders import make_repo
from dvidsync_dagster.config import SyncConfig

INSTANCE = "segmentation"


@dataclass
class Stage:
    """`merge` works on the source; the 64 bodies of the labelmap are 1 to 64."""

    broker: EmbeddedBroker
    source: SandboxServer
    destination: SandboxServer
    root: str
    next_body: int = 1

    def config(self, **changes: Any) -> SyncConfig:
        """One destination named `copy`, from the beginning, in hourly windows."""
        return SyncConfig.model_validate({**self.fields(), **changes})

    def fields(self) -> dict[str, Any]:
        """The same, as a YAML file would hold it."""
        return {
            "source": {"url": self.source.url},
            "repo": self.root,
            "destinations": [{"name": "copy", "url": self.destination.url, "start": "beginning"}],
            "windows": {"every": "hourly", "start_date": "2026-01-01"},
            "settle_seconds": 0,
            "chunk_records": 100,
            "quarantine": str(self.destination.folder.with_name("quarantine")),
        }

    def data_uuid(self) -> str:
        """Of the labelmap."""
        info = httpx.get(f"{self.source.url}/api/repo/{self.root}/info").json()
        return str(info["DataInstances"][INSTANCE]["Base"]["DataUUID"])

    def merge(self, target: int, *bodies: int, server: SandboxServer | None = None) -> None:
        """Merge at the source, or at `server`."""
        path = f"/api/node/{self.root}/{INSTANCE}/merge"
        url = (server or self.source).url
        httpx.post(f"{url}{path}?u=amy&app=test", json=[target, *bodies]).raise_for_status()

    def merge_next(self) -> None:
        """Merge two bodies at the source that nobody touched."""
        self.merge(self.next_body, self.next_body + 1)
        self.next_body += 2

    def bodies(self, server: SandboxServer) -> dict[int, int]:
        """The body of each supervoxel."""
        path = f"/api/node/{self.root}/{INSTANCE}/mapping"
        answer = httpx.request("GET", f"{server.url}{path}", json=list(range(1, 65)))
        answer.raise_for_status()
        return dict(zip(range(1, 65), answer.json(), strict=True))

    def assert_same(self) -> None:
        assert self.bodies(self.destination) == self.bodies(self.source)


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """Both servers with 64 bodies of one supervoxel each, nothing in the log yet but the repo's making."""
    with EmbeddedBroker.start() as broker:
        source = SandboxServer.start(folder / "source", kafka=broker.address)
        try:
            root = make_repo(source.url, source.admin_token, size=64, cube=16).root
            source.stop()
            copied = source.copy_to(folder / "copy")
            source.restart()
            with SandboxServer.start(copied) as copy:
                yield Stage(broker, source, copy, root)
        finally:
            source.stop()
