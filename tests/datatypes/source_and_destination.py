"""A source with every data type and a copy that follows it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from dvid_sandbox.broker import EmbeddedBroker
from dvid_sandbox.launcher import SandboxServer
from dvid_sandbox.messages import published
from dvid_sandbox.proofreaders import make_repo
from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.dvid import protobuf
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.run.follow import Scope, follow
from dvidsync_dagster.run.report import ChunkReport
from tests.real_kafka import RealKafka
from tests.state import State, differences, read_state

TOKEN = "DVIDSYNC_TEST_ADMIN_TOKEN"

_CLIENT = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0))
"""Servers are started again meanwhile."""


@dataclass
class SourceAndDestination:
    """`post` and its kin work at the source, or at `server`; paths begin after ``/api/node/VERSION/``."""

    source: SandboxServer
    destination: SandboxServer
    root: str
    checkpoint: Checkpoint | None = None
    epoch: int = 0
    reports: list[ChunkReport] = field(default_factory=list)

    def destination_fields(self) -> dict[str, Any]:
        return {"name": "copy", "url": self.destination.url, "start": "beginning", "admin_token_env": TOKEN}

    @property
    def quarantine(self) -> Path:
        return self.destination.folder.with_name("quarantine")

    def sync(
        self, *, scope: Scope | None = None, changed: dict[str, Any] | None = None, **settings: Any
    ) -> list[ChunkReport]:
        """One run to the end of the log; the next one goes on from there, also after one that raised (its
        `reports` tell how far it got). `changed` is of the destination."""
        self.epoch += 1
        os.environ[TOKEN] = self.destination.admin_token
        config = SyncConfig.model_validate(
            {
                "source": {"url": self.source.url},
                "repo": self.root,
                "destinations": [{**self.destination_fields(), **(changed or {})}],
                "settle_seconds": 0,
                "quarantine": str(self.quarantine),
                **settings,
            }
        )
        self.reports = []
        for report in follow(
            config,
            config.destinations[0],
            checkpoint=self.checkpoint,
            epoch=self.epoch,
            still_owner=lambda: None,
            scope=scope,
        ):
            self.reports.append(report)
            self.checkpoint = report.checkpoint
        return self.reports

    def sync_unclean(self) -> list[ChunkReport]:
        """As after a run that did not end in order."""
        assert self.checkpoint is not None
        self.checkpoint = replace(self.checkpoint, clean=False)
        return self.sync()

    def await_messages(self, count: int) -> None:
        """The source publishes behind its answers: wait until so many messages are at the broker."""
        assert self.source.kafka is not None
        assert len(published(self.source.kafka, self.source.topic_prefix, count)) == count

    def states(self) -> tuple[State, State]:
        return read_state(self.source.url, self.root), read_state(self.destination.url, self.root)

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
        return _CLIENT.request(method, url, json=json, content=body)

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
        answer = self.request("GET", self.key(instance, key), version=version, server=self.destination)
        return None if answer.status_code == 404 else answer.content

    def new_version(self, parent: str | None = None) -> str:
        """Commit and go on in a child."""
        parent = parent or self.root
        self.post("commit", json={"note": "done"}, version=parent)
        return str(self.post("newversion", json={"note": "next"}, version=parent)["child"])

    def new_instance(self, name: str, typename: str, **settings: str) -> None:
        url = f"{self.source.url}/api/repo/{self.root}/instance"
        httpx.post(url, json={"dataname": name, "typename": typename, **settings}).raise_for_status()


def template(folder: Path, *, synced: bool = False) -> tuple[Path, str]:
    """The folder of a server with a labelmap of 64 bodies and an empty instance of each other type, and the
    repo's root. Nothing of it is in a log."""
    with SandboxServer.start(folder, split_endpoint=True) as server:
        return folder, make_repo(server.url, server.admin_token, size=64, cube=16, synced=synced).root


@contextmanager
def scene(
    folder: Path, broker: EmbeddedBroker | RealKafka, made: tuple[Path, str]
) -> Iterator[SourceAndDestination]:
    """Two servers on copies of a template's folder."""
    whole, root = made
    for name in ("source", "copy"):
        shutil.copytree(whole, folder / name)
    prefix = f"{folder.name}-"
    with (
        SandboxServer.start(
            folder / "source", kafka=broker.address, topic_prefix=prefix, split_endpoint=True
        ) as source,
        SandboxServer.start(folder / "copy") as copy,
    ):
        yield SourceAndDestination(source, copy, root)
