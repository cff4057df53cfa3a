"""A reconstruction of any size, and people's work on it: as tables of a snapshot, as a server has it.

Half of its supervoxels are bodies of their own, a quarter is in bodies of ten, a quarter in neurons of a
thousand. Which ones belong together is drawn: in tables, which are sorted by supervoxel, any work touches
every part. Where people work in one place it touches less.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Self

import httpx
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.setting import BLOCKS, Setting
from benchmarks.source import LABELMAP, Source
from dvid_sandbox.launcher import DvidServer, SandboxServer
from dvidsync_dagster.config import BucketConfig
from dvidsync_dagster.datatypes.labelmap.snapshot.tables import tables_of
from dvidsync_dagster.destinations.bucket.configured_bucket import bucket_of, table_app
from dvidsync_dagster.destinations.bucket.draft import Draft
from dvidsync_dagster.destinations.bucket.tables import BranchTables
from dvidsync_dagster.dvid.proto.labelmap_pb2 import LabelIndices
from dvidsync_dagster.dvid.protobuf import mapping_ops
from dvidsync_dagster.snapshot.pointer import Pointer
from dvidsync_dagster.snapshot.table import Table

USERS = [f"user{number}" for number in range(20)]
FEW, MANY = 10, 1_000
"""Supervoxels of a body that has some, and of a neuron."""

_ROWS = 500_000
_INDICES = 20_000
"""Supervoxels in one request."""
_CUBE = 8
"""Voxels along the edge of a supervoxel, where there are voxels."""

Labels = npt.NDArray[np.int64]
Mutation = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """Supervoxels with their bodies.

    Args:
        supervoxels: ascending.
        bodies: of each supervoxel.
        fragments: the labels of the bodies that are no neurons, in an order that was drawn.
        neurons: a row each; its label is its first supervoxel's.
    """

    supervoxels: Labels
    bodies: Labels
    fragments: Labels
    neurons: npt.NDArray[np.int64]

    @classmethod
    def of(cls, count: int) -> Self:
        """One of so many supervoxels. It is the same one each time."""
        random = np.random.default_rng(count)
        supervoxels = np.cumsum(random.integers(1, 100, count))
        drawn = random.permutation(count)
        quarter = count // 4 // MANY * MANY
        singles, some, many = np.split(drawn, [count - 2 * quarter, count - quarter])
        some, many = some.reshape(-1, FEW), many.reshape(-1, MANY)
        bodies = supervoxels.copy()
        for groups in (some, many):
            bodies[groups] = supervoxels[groups[:, :1]]
        fragments = random.permutation(np.concatenate([singles, some[:, 0]]))
        return cls(supervoxels, bodies, supervoxels[fragments], supervoxels[many])

    @classmethod
    def apart(cls, count: int) -> Self:
        """Supervoxels from 1 on, each a body of its own."""
        supervoxels = np.arange(1, count + 1)
        return cls(supervoxels, supervoxels, supervoxels, np.empty((0, MANY), np.int64))

    def __len__(self) -> int:
        return len(self.supervoxels)


class Proofreading:
    """Work on a reconstruction, as DVID announces it. No fragment is merged twice."""

    def __init__(self, of: Reconstruction, version: str) -> None:
        self._version = version
        self._random = np.random.default_rng(1)
        self._neurons = of.neurons
        self._fragments = iter(of.fragments.tolist())
        self._cleaved = np.ones(len(of.neurons), np.int64)
        self._next_label = int(of.supervoxels[-1]) + 1
        self._next_mutation = 2_000_000_000

    def mixed(self, count: int) -> Iterator[Mutation]:
        """A fragment goes to a neuron; each fourth time three supervoxels come off one."""
        for number in range(count):
            yield self._cleave() if number % 4 == 3 else self._merge()

    def merges(self, count: int) -> Iterator[Mutation]:
        """Fragments go to neurons."""
        for _ in range(count):
            yield self._merge()

    def _merge(self) -> Mutation:
        target = int(self._neurons[self._random.integers(len(self._neurons)), 0])
        return self._told("merge", {"Target": target, "Labels": [next(self._fragments)]})

    def _cleave(self) -> Mutation:
        neuron = int(self._random.integers(len(self._neurons)))
        place = int(self._cleaved[neuron])
        self._cleaved[neuron] += 3
        self._next_label += 1
        return self._told(
            "cleave",
            {
                "OrigLabel": int(self._neurons[neuron, 0]),
                "CleavedLabel": self._next_label,
                "CleavedSupervoxels": self._neurons[neuron, place : place + 3].tolist(),
                "CleavedSize": 3_000,
                "RemainSize": 100_000,
            },
        )

    def _told(self, action: str, fields: Mutation) -> Mutation:
        self._next_mutation += 1
        return {
            "Action": action,
            "App": "benchmark",
            "MutationID": self._next_mutation,
            "Timestamp": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f000 +0000 UTC}",
            "UUID": self._version,
            "User": USERS[self._next_mutation % len(USERS)],
            **fields,
        }


def fill_bucket(config: BucketConfig, repo: str, held: Reconstruction) -> None:
    """Put a reconstruction in place of what a snapshot has of the labelmap."""
    bucket = bucket_of(config)
    pointer = Pointer.claimed(bucket, repo)
    snapshot = pointer.snapshot
    state = snapshot.branches[config.branch]
    app = table_app(repo, config)
    tables = BranchTables(bucket, config.branch, app=app, epoch=snapshot.epoch, states=state.tables)
    own = tables_of(LABELMAP)
    tables.create(own.mapping, _mapping(held, own.mapping))
    tables.create(own.bodies, _bodies(held, own.bodies))
    Draft(pointer, config.branch, tables, state).commit(snapshot.checkpoint)


def _mapping(held: Reconstruction, table: Table) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(held), _ROWS):
        columns = [each[start : start + _ROWS] for each in (held.supervoxels, held.bodies)]
        yield pa.record_batch([pa.array(column) for column in columns], table.schema)


def _bodies(held: Reconstruction, table: Table) -> Iterator[pa.RecordBatch]:
    random = np.random.default_rng(2)
    labels, counts = np.unique(held.bodies, return_counts=True)
    for start in range(0, len(labels), _ROWS):
        own, count = labels[start : start + _ROWS], counts[start : start + _ROWS]
        seconds = random.integers(1_600_000_000, 1_700_000_000, len(own))
        columns = {
            "body": own,
            "voxels": count * random.integers(100, 10_000, len(own)),
            "supervoxels": count,
            "last_mutation": random.integers(1_000_000_000, 1_900_000_000, len(own)),
            "last_user": np.array(USERS)[random.integers(0, len(USERS), len(own))],
            "last_time": seconds.astype("datetime64[s]").astype("datetime64[us]"),
        }
        arrays = [pa.array(columns[field.name]).cast(field.type) for field in table.schema]
        yield pa.record_batch(arrays, table.schema)


def fill_server(server: DvidServer, version: str, held: Reconstruction, blocks: int = BLOCKS) -> None:
    """Give a server the indices and the mapping of a reconstruction; there are no voxels to them.

    Args:
        blocks: in which each supervoxel has voxels.
    """
    order = np.argsort(held.bodies, kind="stable")
    supervoxels = held.supervoxels[order]
    labels, starts = np.unique(held.bodies[order], return_index=True)
    ends = np.append(starts[1:], len(supervoxels))
    url = f"{server.url}/api/node/{version}/{LABELMAP}"
    with httpx.Client(timeout=600, params={"admintoken": server.admin_token}) as client:
        for bodies in _requests(labels.tolist(), starts.tolist(), ends.tolist()):
            indices = LabelIndices()
            groups: dict[int, list[int]] = {}
            for body, start, end in bodies:
                members = supervoxels[start:end].tolist()
                _index(indices, body, members, blocks)
                if end - start > 1:
                    groups[body] = [each for each in members if each != body]
            client.post(f"{url}/indices", content=indices.SerializeToString()).raise_for_status()
            if groups:
                client.post(f"{url}/mappings", content=mapping_ops(groups, 5)).raise_for_status()


def apart(setting: Setting, count: int) -> AbstractContextManager[Source]:
    """A source with at least so many supervoxels, from 1 on, each a body of its own."""
    count = 1 << (count - 1).bit_length()
    fill = partial(_fill_apart, count=count, blocks=setting.blocks)
    return setting.source(fill, keep_as=f"apart-{count}-{setting.blocks}")


def _fill_apart(server: DvidServer, version: str, count: int, blocks: int) -> None:
    if isinstance(server, SandboxServer):
        across = math.ceil(count ** (1 / 3)) * _CUBE
        server.put_cubes(version, LABELMAP, size=across, cube=_CUBE)
    else:
        fill_server(server, version, Reconstruction.apart(count), blocks)


def _requests(labels: list[int], starts: list[int], ends: list[int]) -> Iterator[list[tuple[int, int, int]]]:
    some: list[tuple[int, int, int]] = []
    for each in zip(labels, starts, ends, strict=True):
        some.append(each)
        if each[2] - some[0][1] >= _INDICES:
            yield some
            some = []
    if some:
        yield some


def _index(indices: LabelIndices, body: int, members: list[int], blocks: int) -> None:
    index = indices.indices.add(
        label=body,
        # Below what a server gives from then on: a copy's bodies would else be taken for its own work.
        last_mutid=1 + body % 1000,
        last_mod_user=USERS[body % len(USERS)],
        last_mod_time=f"2026-11-{1 + body % 20:02d}T05:18:{body % 60:02d}Z",
        last_mod_app="benchmark",
    )
    for supervoxel in members:
        for number in range(blocks):
            block = supervoxel * blocks + number
            # Block coordinates of 21 bits each: z, y, x.
            key = (block // 1_000_000 % 1000) << 42 | (block // 1000 % 1000) << 21 | block % 1000
            index.blocks.add(key=key).value.counts.add(key=supervoxel, value=1_000)
