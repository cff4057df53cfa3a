"""A source with every data type and a copy that follows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.dvid import protobuf
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.report import ChunkReport
from dvidsync_dagster.sandbox.broker import EmbeddedBroker
from dvidsync_dagster.sandbox.launcher import SandboxServer
from dvidsync_dagster.sandbox.proofreaders import make_repo
from dvidsync_dagster.sync import Scope, follow
from tests.state import State, differences, read_state


@dataclass
class Scene:
    """`post` and its kin work at the source, or at `server`; paths begin after ``/api/node/VERSION/``."""

    source: SandboxServer
    copy: SandboxServer
    root: str
    checkpoint: Checkpoint | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    epoch: int = 0

    def sync(self, *, scope: Scope | None = None, **settings: Any) -> list[ChunkReport]:
        """One run to the end of the log; the next one goes on from there."""
        self.epoch += 1
        config = SyncConfig.model_validate(
            {
                "source": {"url": self.source.url},
                "repo": self.root,
                "destinations": [{"name": "copy", "url": self.copy.url, "start": "beginning"}],
                "settle_seconds": 0,
                **self.settings,
                **settings,
            }
        )
        reports = list(
            follow(
                config,
                config.destinations[0],
                checkpoint=self.checkpoint,
                epoch=self.epoch,
                still_owner=lambda: None,
                scope=scope,
            )
        )
        self.checkpoint = reports[-1].checkpoint
        return reports

    def states(self) -> tuple[State, State]:
        return read_state(self.source.url, self.root), read_state(self.copy.url, self.root)

    def assert_same(self) -> None:
        assert differences(*self.states(), ignore_times=False) == []

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        body: bytes | None = None,
        version: str | None = None,
        server: SandboxServer | None = None,
        user: str = "amy",
        query: str = "",
    ) -> httpx.Response:
        url = f"{(server or self.source).url}/api/node/{version or self.root}/{path}?u={user}&app=test{query}"
        return httpx.request(method, url, json=json, content=body)

    def post(self, path: str, **what: Any) -> Any:
        answer = self.request("POST", path, **what)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def post_values(self, instance: str, values: Sequence[tuple[str, bytes]], **what: Any) -> None:
        self.post(f"{instance}/keyvalues", body=protobuf.key_values(values), **what)

    def delete(self, path: str, **what: Any) -> None:
        self.request("DELETE", path, **what).raise_for_status()

    def key(self, instance: str, key: str) -> str:
        return f"{instance}/key/{quote(key, safe='')}"

    def value(self, instance: str, key: str, *, version: str | None = None) -> bytes | None:
        """What the copy has under a key; None if it is missing or empty."""
        answer = self.request("GET", self.key(instance, key), version=version, server=self.copy)
        return None if answer.status_code == 404 else answer.content

    def new_version(self, parent: str | None = None) -> str:
        """Commit and go on in a child."""
        parent = parent or self.root
        self.post("commit", json={"note": "done"}, version=parent)
        return str(self.post("newversion", json={"note": "next"}, version=parent)["child"])

    def new_instance(self, name: str, typename: str, **settings: str) -> None:
        url = f"{self.source.url}/api/repo/{self.root}/instance"
        httpx.post(url, json={"dataname": name, "typename": typename, **settings}).raise_for_status()


@contextmanager
def scene(folder: Path, broker: EmbeddedBroker, *, synced: bool = False) -> Iterator[Scene]:
    """Both servers hold the same: a labelmap of 64 bodies and an empty instance of each other type."""
    prefix = f"{folder.name}-"
    source = SandboxServer.start(
        folder / "source", kafka=broker.address, topic_prefix=prefix, split_endpoint=True
    )
    try:
        root = make_repo(source.url, source.admin_token, size=64, cube=16, synced=synced).root
        source.stop()
        copied = source.copy_to(folder / "copy")
        source.restart()
        with SandboxServer.start(copied) as copy:
            yield Scene(source, copy, root)
    finally:
        source.stop()
