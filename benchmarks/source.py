"""A server whose repo is followed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.announcing import await_records
from dvid_sandbox.launcher import DvidServer
from dvid_sandbox.proofreaders.repo import INSTANCES

LABELMAP = "segmentation"
TOKEN_ENV = "DVIDSYNC_BENCHMARK_TOKEN"
"""Where a run finds the admin token of the servers."""

_REPO = ""
"""Stands among instances for the repo itself."""


@dataclass(frozen=True, slots=True)
class Source:
    """A server on which people have worked, with its log and the folder that it began with.

    Args:
        topics: by instance.
        before: the folder that it began with.
        quarantine: the folder of whoever follows it.
    """

    server: DvidServer
    root: str
    broker: str
    topics: Mapping[str, str]
    before: Path
    quarantine: Path

    def config(self, **destination: Any) -> dict[str, Any]:
        """Of one destination, as a YAML file would hold it."""
        return {
            "source": {"url": self.server.url},
            "repo": self.root,
            "settle_seconds": 0,
            "quarantine": str(self.quarantine),
            "destinations": [{"name": "copy", **destination}],
        }

    def config_of(self, server: DvidServer, **destination: Any) -> dict[str, Any]:
        """The same, where a server follows from the beginning of the log."""
        os.environ[TOKEN_ENV] = server.admin_token
        return self.config(url=server.url, start="beginning", admin_token_env=TOKEN_ENV, **destination)

    def await_announced(self, count: int) -> None:
        """Wait until so many messages, since it began, are at the broker."""
        await_records(self.broker, self.topics.values(), count)


def new_repo(server: DvidServer) -> str:
    """A repo with an empty instance of each data type; its root."""
    with httpx.Client(base_url=server.url, params={"admintoken": server.admin_token}, timeout=60) as client:
        made = client.post("/api/repos", json={"alias": "benchmark", "description": "benchmark"})
        root = str(made.raise_for_status().json()["root"])
        for name, datatype in INSTANCES.items():
            settings = {"typename": datatype, "dataname": name}
            if datatype == "labelmap":
                settings["MaxDownresLevel"] = "0"
            client.post(f"/api/repo/{root}/instance", json=settings).raise_for_status()
    return root


def only_root(url: str) -> str:
    """Of the repo of a server that has one."""
    [root] = httpx.get(f"{url}/api/repos/info").raise_for_status().json()
    return str(root)


def topics_of(server: DvidServer, root: str) -> dict[str, str]:
    """Where mutations are announced, by instance."""
    info = httpx.get(f"{server.url}/api/repo/{root}/info").raise_for_status().json()
    repo = f"{server.topic_prefix}dvidrepo-{root}"
    instances = {name: each["Base"]["DataUUID"] for name, each in info["DataInstances"].items()}
    return {_REPO: f"{repo}-repo-ops", **{name: f"{repo}-data-{data}" for name, data in instances.items()}}
