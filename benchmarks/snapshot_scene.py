"""A source, its log, and a folder that holds a snapshot of it: what `benchmarks.snapshot` measures."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
from kafka import KafkaProducer
from pyarrow import feather

from benchmarks.reconstruction import LABELMAP, Mutation, Reconstruction, fill_server
from dvid_sandbox.broker import EmbeddedBroker
from dvid_sandbox.launcher import DvidServer, SandboxServer
from dvid_sandbox.real_server import RealServer
from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.run.follow import follow

_PREFIX = "benchmark-"
_PATIENCE = httpx.Timeout(3600)
_CLOCK = 2.0
"""Seconds after which all that was done is read: a server tells its time in whole seconds."""
_ROOT = "root"
"""The file of a server that is kept: the repo's root."""


@dataclass(frozen=True, slots=True)
class Followed:
    """A source whose root is committed. Work goes to `head`, its child.

    Args:
        bucket: the folder of the snapshot.
    """

    source: DvidServer
    broker: str
    root: str
    head: str
    bucket: Path

    def config(self, bucket: Path | None = None) -> dict[str, Any]:
        """As a YAML file would hold it."""
        return {
            "source": {"url": self.source.url},
            "repo": self.root,
            "instances": [LABELMAP],
            "settle_seconds": 0,
            "destinations": [{"name": "cloud", "bucket": str(bucket or self.bucket)}],
        }

    def announce(self, mutations: Iterable[Mutation]) -> None:
        """Put into the log that each began, and that it is done. The source itself does nothing."""
        info = httpx.get(f"{self.source.url}/api/repo/{self.root}/info").json()
        data = info["DataInstances"][LABELMAP]["Base"]["DataUUID"]
        topic = f"{_PREFIX}dvidrepo-{self.root}-data-{data}"
        producer = KafkaProducer(bootstrap_servers=[self.broker], linger_ms=20, batch_size=1 << 18)
        key, value = 0, b""
        for mutation in mutations:
            for done in ("", "-complete"):
                key = max(key + 1, time.time_ns())
                value = json.dumps({**mutation, "Action": f"{mutation['Action']}{done}"}).encode()
                producer.send(topic, key=str(key).encode(), value=value)
        producer.flush()
        for partition in producer.partitions_for(topic):
            # The embedded broker tells its end as if only one of the last records that came together was
            # there. So one comes alone, and a record that comes again changes nothing.
            producer.send(topic, key=str(key).encode(), value=value, partition=partition).get()
        producer.close()
        time.sleep(_CLOCK)

    def merge(self, mutations: Iterable[Mutation]) -> None:
        """Let the source do merges."""
        with httpx.Client(timeout=_PATIENCE, params={"u": "amy", "app": "benchmark"}) as client:
            for mutation in mutations:
                url = f"{self.source.url}/api/node/{self.head}/{LABELMAP}/merge"
                client.post(url, json=[mutation["Target"], *mutation["Labels"]]).raise_for_status()
        time.sleep(_CLOCK)


@contextmanager
def in_sandbox(folder: Path) -> Iterator[Followed]:
    """A sandbox server with a few bodies."""
    with EmbeddedBroker.start() as broker:
        source = SandboxServer.start(folder / "source", kafka=broker.address, topic_prefix=_PREFIX)
        with source:
            root = _new_repo(source)
            _committed(source.url, root)
            yield Followed(source, broker.address, root, _child(source.url, root), folder / "bucket")


@contextmanager
def in_real_server(folder: Path, held: Reconstruction, kept: Path) -> Iterator[Followed]:
    """A real DVID with a reconstruction, whose folder is kept for the next time."""
    if not (kept / _ROOT).exists():
        with RealServer.start(kept / "server") as server:
            root = _new_repo(server)
            fill_server(server, root, held)
            _committed(server.url, root)
        (kept / _ROOT).write_text(root)
    root = (kept / _ROOT).read_text()
    server = RealServer.start(kept / "server")
    server.stop()
    with EmbeddedBroker.start() as broker:
        copy = server.copy_to(folder / "source")
        with RealServer.start(copy, kafka=broker.address, topic_prefix=_PREFIX) as source:
            yield Followed(source, broker.address, root, _child(source.url, root), folder / "bucket")


def _new_repo(server: DvidServer) -> str:
    admin = {"admintoken": server.admin_token}
    about = {"alias": "benchmark", "description": "benchmark"}
    made = httpx.post(f"{server.url}/api/repos", params=admin, json=about)
    root = str(made.raise_for_status().json()["root"])
    settings = {"typename": "labelmap", "dataname": LABELMAP, "MaxDownresLevel": "0"}
    httpx.post(f"{server.url}/api/repo/{root}/instance", json=settings).raise_for_status()
    return root


def _committed(url: str, version: str) -> None:
    note = {"note": "benchmark", "log": []}
    httpx.post(f"{url}/api/node/{version}/commit", json=note).raise_for_status()


def _child(url: str, version: str) -> str:
    made = httpx.post(f"{url}/api/node/{version}/newversion", json={"note": "benchmark"})
    return str(made.raise_for_status().json()["child"])


# The works that are measured


def run(config: Mapping[str, Any]) -> Mapping[str, float]:
    """A whole run of `follow`."""
    checked = SyncConfig.model_validate(config)
    reports = follow(checked, checked.destinations[0], checkpoint=None, epoch=1, still_owner=lambda: None)
    operations = sum(report.operations for report in reports)
    return {"operations": operations}


def download(url: str, version: str) -> Mapping[str, float]:
    """What is read at least for mapping and sizes, thrown away."""
    for path in (_MAPPING, _SIZES):
        with _client() as client, client.stream("GET", f"{url}/api/node/{version}/{path}") as answer:
            for _ in answer.iter_raw(1 << 20):
                pass
    return {}


def dump(url: str, version: str, folder: str) -> Mapping[str, float]:
    """Mapping and sizes of a version as Feather files, as they are made today."""
    for path, name, columns in (
        (_MAPPING, "mapping", ("sv", "body")),
        (_SIZES, "sizes", ("body", "size")),
    ):
        with _client() as client:
            content = client.get(f"{url}/api/node/{version}/{path}").raise_for_status().content
        pairs = np.frombuffer(content, "<u8").reshape(-1, 2)
        table = pa.table([pa.array(pairs[:, 0]), pa.array(pairs[:, 1])], names=list(columns))
        feather.write_feather(table, f"{folder}/{name}.feather")
    return {}


_MAPPING = f"{LABELMAP}/mappings?format=binary"
_SIZES = f"{LABELMAP}/listlabels?sizes=true"


def _client() -> httpx.Client:
    return httpx.Client(timeout=_PATIENCE, headers={"Accept-Encoding": "identity"})
