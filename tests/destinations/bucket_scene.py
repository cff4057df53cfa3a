"""A sandbox server with every data type, and folders that hold snapshots of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa

from dvid_sandbox.broker import EmbeddedBroker
from dvid_sandbox.launcher import SandboxServer
from dvid_sandbox.proofreaders import WEIGHTS, Proofreaders, make_repo
from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.run.follow import follow
from dvidsync_dagster.run.report import ChunkReport
from dvidsync_dagster.snapshot.delta import DeltaTables
from dvidsync_dagster.snapshot.pointer import Pointer, Snapshot
from dvidsync_dagster.snapshot.store import Bucket

LABELS, KEYS, NEURONS, SYNAPSES = "segmentation", "segmentation_annotations", "neurons", "synapses"
BRANCH = "master"

Content = dict[str, list[dict[str, Any]]]
"""Rows by table, in one order."""


@dataclass
class SourceAndBucket:
    """`bucket` is the folder of the snapshot that `sync` brings up to date."""

    source: SandboxServer
    broker: EmbeddedBroker
    folder: Path
    root: str
    head: str
    own: tuple[str, ...] = ()

    @property
    def bucket(self) -> Path:
        return self.folder / "bucket"

    # At the source

    def post(self, path: str, json: Any = None, *, version: str | None = None, query: str = "") -> Any:
        url = f"{self.source.url}/api/node/{version or self.head}/{path}?u=amy&app=test{query}"
        answer = httpx.post(url, json=json)
        assert answer.status_code == 200, answer.text
        return answer.json() if answer.content else None

    def put_key(self, key: str, value: str, *, version: str | None = None) -> None:
        self.post(f"{KEYS}/key/{key}", value, version=version)

    def commit(self) -> str:
        """The version that is committed."""
        self.post("commit", {"note": "done"})
        return self.head

    def new_version(self) -> str:
        """Go on in a child; the committed version."""
        parent = self.commit()
        self.head = str(self.post("newversion", {"note": "next"}, version=parent)["child"])
        return parent

    def new_instance(self, name: str, typename: str) -> None:
        url = f"{self.source.url}/api/repo/{self.root}/instance"
        httpx.post(url, json={"dataname": name, "typename": typename}).raise_for_status()

    @contextmanager
    def crowd(self, seed: int, *, people: int = 3, **weights: float) -> Iterator[Proofreaders]:
        """People who work in all versions that there are."""
        with Proofreaders(
            self.source.url,
            self.root,
            seed=seed,
            people=people,
            weights={**WEIGHTS, **weights},
            admin_token=self.source.admin_token,
        ) as crowd:
            yield crowd

    # At the bucket

    def fields(self, bucket: Path | None = None, **changed: Any) -> dict[str, Any]:
        """A configuration, as a YAML file would hold it. `changed` is of the destination."""
        destination = {"name": "cloud", "bucket": str(bucket or self.bucket), "own": list(self.own)}
        return {
            "source": {"url": self.source.url},
            "repo": self.root,
            "destinations": [{**destination, **changed}],
            "settle_seconds": 0,
            "chunk_records": 100,
            "quarantine": str(self.folder / "quarantine"),
        }

    def sync(
        self,
        bucket: Path | None = None,
        *,
        checkpoint: Checkpoint | None = None,
        changed: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> list[ChunkReport]:
        """One run to the end of the log, whose caller remembers nothing unless it is told."""
        config = SyncConfig.model_validate({**self.fields(bucket, **(changed or {})), **settings})
        reports = follow(
            config, config.destinations[0], checkpoint=checkpoint, epoch=1, still_owner=lambda: None
        )
        return list(reports)

    def pointer(self, bucket: Path | None = None) -> Snapshot:
        snapshot = Pointer.load(Bucket.at(str(bucket or self.bucket)))
        assert snapshot is not None
        return snapshot

    def content(self, bucket: Path | None = None, *, version: str | None = None) -> Content:
        """What readers see, or saw of a version that was committed."""
        snapshot = self.pointer(bucket)
        state = snapshot.branches[BRANCH]
        versions = {path: table.version for path, table in state.tables.items()}
        if version is not None:
            versions = dict(snapshot.pins[version].tables)
        return {path: rows(bucket or self.bucket, path, number) for path, number in versions.items()}


def rows(bucket: Path, path: str, version: int) -> list[dict[str, Any]]:
    """A table's rows, in one order."""
    delta = DeltaTables(Bucket.at(str(bucket)), BRANCH, app="test", epoch=0)
    held = delta.rows({path: version})
    from deltalake import DeltaTable

    table = pa.table(DeltaTable(str(bucket / BRANCH / path), version).to_pyarrow_table())
    del held
    return sorted(table.to_pylist(), key=repr)


@contextmanager
def source_and_bucket(folder: Path, *, own: tuple[str, ...] = ()) -> Iterator[SourceAndBucket]:
    """The source has a committed version with 64 bodies, and is open in the next one."""
    with EmbeddedBroker.start() as broker:
        source = SandboxServer.start(folder / "source", kafka=broker.address, split_endpoint=True)
        try:
            root = make_repo(source.url, source.admin_token, size=64, cube=16).root
            here = SourceAndBucket(source, broker, folder, root, root, own)
            here.put_key("first", "1")
            here.new_version()
            yield here
        finally:
            source.stop()
