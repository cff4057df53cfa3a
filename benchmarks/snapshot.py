"""What it costs to keep a snapshot in a bucket up to date, and to make the first one.

`tables` fills the tables alone; the source's work is only announced. `first` and `refresh` have a server that
holds the reconstruction, and are held against what is done today: the mere download of mapping and sizes, and
a full dump of them.

What is written is told in three parts: tables that are written anew where rows changed (mapping, bodies),
`edits`, and the rest (the tables' logs, `snapshot.json` and what stands beside it).
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
from pyarrow import feather

from benchmarks.announcing import Record, announce
from benchmarks.following import follow_on
from benchmarks.measuring import Measured, Written
from benchmarks.one_by_one import Client
from benchmarks.reconstruction import Mutation, Proofreading, Reconstruction, fill_bucket, fill_server
from benchmarks.result import Result, Way
from benchmarks.setting import Setting
from benchmarks.source import LABELMAP, Source
from dvidsync_dagster.config import BucketConfig, SyncConfig

MUTATIONS = 1_000
"""In a run."""
MANY = 100_000
"""Merges in a run; only into tables that are large enough."""
OF_MANY = 10_000_000
"""Supervoxels of these."""
COMMITTED = 2
"""Messages when a version is committed and the next one made."""
SOME, REFRESH = f"{MUTATIONS:,} mutations", "refresh"
DOWNLOAD, FIRST, DUMP = "download alone", "first snapshot", "full dump"

_PATIENCE = httpx.Timeout(3600)
_MAPPING = f"{LABELMAP}/mappings?format=binary"
_SIZES = f"{LABELMAP}/listlabels?sizes=true"


def tables(setting: Setting, supervoxels: int) -> Result:
    """Runs into tables of so many supervoxels."""
    held = Reconstruction.of(supervoxels)
    with setting.source() as source:
        head = _committed(source.server.url, source.root)
        config = _config(source, setting.folder / "bucket")
        setting.say("the tables are filled")
        setting.measured(follow_on, config=config)
        [destination] = SyncConfig.model_validate(config).destinations
        assert isinstance(destination, BucketConfig)
        fill_bucket(destination, source.root, held)
        work = Proofreading(held, head)
        runs: dict[str, list[Measured]] = {SOME: []}
        if supervoxels >= OF_MANY:
            runs[f"{MANY:,} merges"] = []
        for way, _ in setting.turns(list(runs)):
            mutations = list(work.mixed(MUTATIONS) if way == SOME else work.merges(MANY))
            announce(setting.broker, source.topics[LABELMAP], _records(mutations))
            runs[way].append(_run(setting, config, len(mutations)))
    return Result("tables", supervoxels, [Way.of(name, supervoxels, each) for name, each in runs.items()])


def first(setting: Setting, supervoxels: int) -> Result:
    """First snapshots of so many supervoxels."""
    runs: dict[str, list[Measured]] = {DOWNLOAD: [], FIRST: []}
    with _holding(setting, Reconstruction.of(supervoxels)) as source:
        for way, turn in setting.turns(list(runs)):
            if way == DOWNLOAD:
                took = setting.measured(download, url=source.server.url, version=source.root)
            else:
                bucket = setting.folder / f"bucket{turn}"
                took = replace(setting.measured(follow_on, config=_config(source, bucket)), told={})
                shutil.rmtree(bucket)
            runs[way].append(took)
    return Result("first", supervoxels, [Way.of(name, supervoxels, each) for name, each in runs.items()])


def refresh(setting: Setting, supervoxels: int) -> Result:
    """Runs that bring work into a snapshot of so many supervoxels."""
    held = Reconstruction.of(supervoxels)
    mutations = min(MUTATIONS, supervoxels // 50)
    runs: dict[str, list[Measured]] = {DUMP: [], REFRESH: []}
    with _holding(setting, held) as source:
        head = _committed(source.server.url, source.root)
        config = _config(source, setting.folder / "bucket")
        setting.measured(follow_on, config=config)
        work = Proofreading(held, head)
        for way, turn in setting.turns(list(runs)):
            if way == DUMP:
                _merge(source, head, work.merges(mutations))
                source.await_announced(COMMITTED + (turn + 1) * 2 * mutations)
                arguments = {"url": source.server.url, "version": head, "folder": str(setting.folder)}
                runs[way].append(setting.measured(dump, **arguments))
            else:
                runs[way].append(_run(setting, config, mutations))
    return Result("refresh", supervoxels, [Way.of(name, supervoxels, each) for name, each in runs.items()])


def download(url: str, version: str) -> dict[str, float]:
    """What is read at least for mapping and sizes, thrown away."""
    for path in (_MAPPING, _SIZES):
        with _client() as client, client.stream("GET", f"{url}/api/node/{version}/{path}") as answer:
            for _ in answer.iter_raw(1 << 20):
                pass
    return {}


def dump(url: str, version: str, folder: str) -> dict[str, float]:
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


def _client() -> httpx.Client:
    return httpx.Client(timeout=_PATIENCE, headers={"Accept-Encoding": "identity"})


def _holding(setting: Setting, held: Reconstruction) -> AbstractContextManager[Source]:
    """A source that holds a reconstruction."""
    return setting.source(partial(fill_server, held=held), keep_as=f"reconstruction-{len(held)}")


def _config(source: Source, bucket: Path) -> dict[str, Any]:
    return {**source.config(bucket=str(bucket)), "instances": [LABELMAP]}


def _committed(url: str, version: str) -> str:
    """Commit a version; the open one that people go on in."""
    with Client(url) as client:
        client.ask(f"/api/node/{version}/commit", {"note": "benchmark", "log": []})
        made = client.post(f"/api/node/{version}/newversion", json={"note": "benchmark"})
    return str(made.raise_for_status().json()["child"])


def _records(mutations: Iterable[Mutation]) -> Iterator[Record]:
    """That each began, and that it is done."""
    key = 0
    for mutation in mutations:
        for done in ("", "-complete"):
            key = max(key + 1, time.time_ns())
            yield key, json.dumps({**mutation, "Action": f"{mutation['Action']}{done}"}).encode()


def _merge(source: Source, version: str, mutations: Iterable[Mutation]) -> None:
    with Client(source.server.url) as client:
        for mutation in mutations:
            path = f"/api/node/{version}/{LABELMAP}/merge"
            client.ask(path, [mutation["Target"], *mutation["Labels"]])


def _run(setting: Setting, config: dict[str, Any], count: int) -> Measured:
    """A run that brings so many operations."""
    bucket = Path(config["destinations"][0]["bucket"])
    written = Written(bucket)
    run = setting.measured(follow_on, config=config)
    if run.told["operations"] != count:
        raise RuntimeError(f"a run brought {run.told['operations']:.0f} operations of {count}")
    parts = written.by_part(_part)
    told: dict[str, float] = {f"kB {name}": parts.get(name, (0, 0))[0] / 1000 for name in PARTS}
    return replace(run, told={**told, "files": sum(files for _, files in parts.values())})


PARTS = ("anew", "edits", "rest")


def _part(name: str) -> str:
    """Of a file in the bucket."""
    folder, _, file = name.rpartition("/")
    if not file.endswith(".parquet"):
        return "rest"
    return {f"{LABELMAP}/mapping": "anew", f"{LABELMAP}/bodies": "anew", f"{LABELMAP}/edits": "edits"}.get(
        folder.partition("/")[2], "rest"
    )
