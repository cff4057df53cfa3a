"""A sandbox server with every data type, and folders that hold snapshots of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
from deltalake import DeltaTable

from dvid_sandbox.broker import EmbeddedBroker
from dvid_sandbox.launcher import SandboxServer
from dvid_sandbox.proofreaders import WEIGHTS, Proofreaders, make_repo
from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.run.follow import Scope, follow
from dvidsync_dagster.run.lag import Look, look
from dvidsync_dagster.run.report import ChunkReport
from dvidsync_dagster.snapshot.layout import table_folder
from dvidsync_dagster.snapshot.opening import options
from dvidsync_dagster.snapshot.pointer import Pointer, Snapshot
from dvidsync_dagster.snapshot.points import POINTS
from dvidsync_dagster.snapshot.store import Bucket

LABELS, KEYS, NEURONS, SYNAPSES = "segmentation", "segmentation_annotations", "neurons", "synapses"

Content = dict[str, list[dict[str, Any]]]
"""Rows by table, in one order."""
Place = Path | str
"""Of a bucket: a folder, or a URI."""


@dataclass
class SourceAndBucket:
    """`bucket` is the folder of the snapshot that `sync` brings up to date. Work goes to `head`, which was
    made from `parent`."""

    source: SandboxServer
    broker: EmbeddedBroker
    folder: Path
    root: str
    head: str
    parent: str = ""
    own: tuple[str, ...] = ()
    chunk_records: int = 100

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
        """As administrator, who can change a committed version too."""
        query = f"&admintoken={self.source.admin_token}"
        self.post(f"{KEYS}/key/{key}", value, version=version, query=query)

    def commit(self) -> str:
        """The version that is committed."""
        self.post("commit", {"note": "done"})
        return self.head

    def go_on(self) -> None:
        """From the committed head in a child."""
        self.parent = self.head
        self.head = str(self.post("newversion", {"note": "next"})["child"])

    def new_version(self) -> str:
        """Go on in a child; the committed version."""
        self.commit()
        self.go_on()
        return self.parent

    def commit_newest(self) -> str:
        """Commit the newest version of the branch, wherever people have got to."""
        url = f"{self.source.url}/api/repo/{self.root}/branch-versions/master"
        self.head = str(httpx.get(url).raise_for_status().json()[0])
        status = httpx.get(f"{self.source.url}/api/node/{self.head}/status").raise_for_status().json()
        return self.head if status["Locked"] else self.commit()

    def branch(self, parent: str, name: str) -> str:
        return str(self.post("branch", {"branch": name, "note": name}, version=parent)["child"])

    def new_instance(self, name: str, typename: str) -> None:
        url = f"{self.source.url}/api/repo/{self.head}/instance"
        httpx.post(url, json={"dataname": name, "typename": typename}).raise_for_status()

    @contextmanager
    def crowd(self, seed: int, *, people: int = 3, **weights: float) -> Iterator[Proofreaders]:
        """People who work in all versions that there are. The log does not tell of neurons that are deleted:
        nobody does that."""
        with Proofreaders(
            self.source.url,
            self.root,
            seed=seed,
            people=people,
            weights={**WEIGHTS, "delete_neuron": 0, **weights},
            admin_token=self.source.admin_token,
        ) as crowd:
            yield crowd

    # At the bucket

    def fields(self, bucket: Place | None = None, **changed: Any) -> dict[str, Any]:
        """A configuration, as a YAML file would hold it. `changed` is of the destination."""
        destination = {"name": "cloud", "bucket": str(bucket or self.bucket), "own": list(self.own)}
        return {
            "source": {"url": self.source.url},
            "repo": self.root,
            "destinations": [{**destination, **changed}],
            "settle_seconds": 0,
            "chunk_records": self.chunk_records,
            "quarantine": str(self.folder / "quarantine"),
        }

    def config(
        self, bucket: Place | None = None, *, changed: Mapping[str, Any] | None = None, **settings: Any
    ) -> SyncConfig:
        return SyncConfig.model_validate({**self.fields(bucket, **(changed or {})), **settings})

    def run(
        self,
        bucket: Place | None = None,
        *,
        checkpoint: Checkpoint | None = None,
        scope: Scope | None = None,
        **changes: Any,
    ) -> Iterator[ChunkReport]:
        """One run to the end of the log, whose caller remembers nothing unless it is told."""
        config = self.config(bucket, **changes)
        return follow(
            config,
            config.destinations[0],
            checkpoint=checkpoint,
            epoch=1,
            still_owner=lambda: None,
            scope=scope,
        )

    def sync(self, bucket: Place | None = None, **what: Any) -> list[ChunkReport]:
        """The same, to its end."""
        return list(self.run(bucket, **what))

    def look(self) -> Look:
        config = self.config()
        return look(config, config.destinations[0], None)

    def is_empty(self) -> bool:
        return not self.bucket.exists() or not list(self.bucket.iterdir())

    def empty(self) -> None:
        shutil.rmtree(self.bucket)

    def saved(self) -> Path:
        """A copy of all that is in the bucket."""
        return Path(shutil.copytree(self.bucket, self.folder / "saved"))

    def bring_back(self, saved: Path) -> None:
        self.empty()
        saved.rename(self.bucket)

    def pointer(self, bucket: Place | None = None) -> Snapshot:
        snapshot = Pointer.load(Bucket.at(str(bucket or self.bucket)))
        assert snapshot is not None
        return snapshot

    def content(
        self, bucket: Place | None = None, *, version: str | None = None, branch: str = "master"
    ) -> Content:
        """What readers see, or of a version that was committed."""
        snapshot = self.pointer(bucket)
        versions = {path: table.version for path, table in snapshot.branches[branch].tables.items()}
        if version is not None:
            versions = dict(snapshot.pins[version].tables)
        opened = Bucket.at(str(bucket or self.bucket))
        return {
            path: rows(opened.table_uri(table_folder(branch, path)), number, options(opened))
            for path, number in versions.items()
        }


def rows(table: Place, version: int, options: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """A table's rows, in one order.

    Args:
        options: what delta-rs needs besides a URI.
    """
    opened = DeltaTable(str(table), version, options)
    return sorted(pa.table(opened.to_pyarrow_table()).to_pylist(), key=repr)


@contextmanager
def source_and_bucket(folder: Path, *, is_open: bool = False) -> Iterator[SourceAndBucket]:
    """The source has a committed version with 64 bodies and a key, and is open in the next one.

    Args:
        is_open: it is open in the first one.
    """
    with EmbeddedBroker.start() as broker:
        source = SandboxServer.start(folder / "source", kafka=broker.address, split_endpoint=True)
        try:
            root = make_repo(source.url, source.admin_token, size=64, cube=16).root
            here = SourceAndBucket(source, broker, folder, root, root)
            here.put_key("first", "1")
            if not is_open:
                here.new_version()
            yield here
        finally:
            source.stop()


def comparable(content: Content, *, edits: bool = False) -> Content:
    """Without what tells when snapshots were made, and without fields that a row lacks.

    Args:
        edits: also what happened since they began, and when.
    """
    left_out = () if edits else ("last_time",)
    return {
        path: [
            {name: value for name, value in row.items() if value is not None and name not in left_out}
            for row in held
        ]
        for path, held in content.items()
        if path != POINTS.path and (edits or not path.endswith("/edits"))
    }
