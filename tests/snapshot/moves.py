"""A run that can be killed: supervoxels move between bodies, in three tables and the pointer over them.

What the tables must hold after any number of moves is known, so that it can be compared at any moment.
"""

from __future__ import annotations

import os
import random
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta
from multiprocessing.connection import Connection

import pyarrow as pa

from dvidsync_dagster.errors import OwnershipLost
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.snapshot.delta import DeltaTables
from dvidsync_dagster.snapshot.pointer import BranchState, Pointer, Snapshot, TableState
from dvidsync_dagster.snapshot.store import Bucket
from dvidsync_dagster.snapshot.table import Change, Column, Table

REPO, APP = "a" * 32, "dvidsync/aaaa/cloud"
SUPERVOXELS = 50
MOVES = [(random.Random(sv).randrange(SUPERVOXELS), sv * 7 % SUPERVOXELS) for sv in range(5_000)]
"""Which supervoxel comes to which body."""
LOST = 3
"""The exit code of a run that has lost the bucket to a newer one."""

MAPPING = Table(
    "seg/mapping",
    "One supervoxel.",
    (Column("sv", pa.int64(), "the supervoxel"), Column("body", pa.int64(), "its body")),
    ("sv",),
)
BODIES = Table(
    "seg/bodies",
    "One body.",
    (Column("body", pa.int64(), "the body"), Column("supervoxels", pa.int64(), "how many it has")),
    ("body",),
)
EDITS = Table(
    "seg/edits",
    "One move.",
    (Column("number", pa.int64(), "of the move"), Column("sv", pa.int64(), "the supervoxel")),
)
TABLES = (MAPPING, BODIES, EDITS)


def after(moves: int) -> dict[int, int]:
    """The body of each supervoxel."""
    return {sv: sv for sv in range(SUPERVOXELS)} | dict(MOVES[:moves])


def bodies(mapping: Mapping[int, int]) -> dict[int, int]:
    return dict(Counter(mapping.values()))


def made(table: Table, *columns: list[int]) -> pa.Table:
    return pa.table(list(columns), schema=table.schema)


def opened(uri: str) -> Bucket:
    bucket = Bucket.at(uri, patience=timedelta(seconds=20))
    bucket.seconds_between_writes = 0.0  # Google's emulator takes any number
    return bucket


def whole(moves: int) -> Iterator[tuple[Table, pa.Table]]:
    mapping = after(moves)
    yield MAPPING, made(MAPPING, list(mapping), list(mapping.values()))
    yield BODIES, made(BODIES, list(bodies(mapping)), list(bodies(mapping).values()))
    yield EDITS, made(EDITS, list(range(moves)), [sv for sv, _ in MOVES[:moves]])


def run(uri: str, environment: Mapping[str, str], chunks: int, seed: int, go: Connection) -> None:
    """Bring a bucket up to date by a few chunks, in a process of its own."""
    os.environ.update(environment)
    go.recv()
    try:
        refresh(opened(uri), chunks, random.Random(seed))
    except OwnershipLost:
        os._exit(LOST)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def refresh(bucket: Bucket, chunks: int, chance: random.Random) -> None:
    pointer = Pointer.claimed(bucket, REPO)
    tables = DeltaTables(bucket, "master", app=APP, epoch=pointer.snapshot.epoch)
    if pointer.snapshot.checkpoint is None:
        versions = {table.path: tables.create(table, iter(rows.to_batches())) for table, rows in whole(0)}
        pointer.commit(committed(pointer.snapshot, tables, versions, 0))
    else:
        named = pointer.snapshot.branches["master"].tables
        versions = {path: tables.restore(path, state.version) for path, state in named.items()}
    for _ in range(chunks):
        done = moves_done(pointer.snapshot)
        until = done + chance.randrange(1, 9)
        for table, change in changes(tables, versions, done, until):
            versions[table.path] = tables.commit(table, change, at=until, key_ns=until)
        if chance.random() < 0.1:
            versions[EDITS.path] = tables.compact(EDITS.path)
        if chance.random() < 0.1:
            keep = [state.version for state in pointer.snapshot.branches["master"].tables.values()]
            versions[MAPPING.path] = tables.vacuum(MAPPING.path, keep[:1], timedelta(0))
        pointer.commit(committed(pointer.snapshot, tables, versions, until))


def changes(
    tables: DeltaTables, versions: Mapping[str, int], done: int, until: int
) -> Iterator[tuple[Table, Change]]:
    """What the moves change, from what the tables hold."""
    rows = tables.rows(versions)
    moved = dict(MOVES[done:until])
    before = rows.find(MAPPING, "sv", list(moved)).to_pydict()
    known = dict(zip(before["sv"], before["body"], strict=True))
    touched = sorted({*known.values(), *moved.values()})
    sizes = rows.find(BODIES, "body", touched).to_pydict()
    count = Counter(dict(zip(sizes["body"], sizes["supervoxels"], strict=True)))
    for sv, body in moved.items():
        count[known[sv]] -= 1
        count[body] += 1
    full = [body for body in touched if count[body]]
    empty = made(BODIES, [body for body in touched if not count[body]], [0] * (len(touched) - len(full)))
    yield MAPPING, Change(made(MAPPING, list(moved), list(moved.values())))
    yield BODIES, Change(made(BODIES, full, [count[body] for body in full]), empty.select(["body"]))
    yield EDITS, Change(made(EDITS, list(range(done, until)), [sv for sv, _ in MOVES[done:until]]))


def moves_done(snapshot: Snapshot) -> int:
    assert snapshot.checkpoint is not None
    return snapshot.checkpoint.key_ns


def committed(snapshot: Snapshot, tables: DeltaTables, versions: Mapping[str, int], moves: int) -> Snapshot:
    states = {
        path: TableState(version=version, rows=tables.count(path, version))
        for path, version in versions.items()
    }
    return snapshot.model_copy(
        update={
            "checkpoint": Checkpoint(epoch=snapshot.epoch, key_ns=moves),
            "branches": {"master": BranchState(uuid="b" * 32, log_time_ns=moves, tables=states)},
        }
    )


def look(uri: str) -> int:
    """Compare all tables with what they must hold at the pointer's moves; how many those are."""
    bucket = opened(uri)
    snapshot = Pointer.load(bucket)
    if snapshot is None or snapshot.checkpoint is None:
        return 0
    moves = moves_done(snapshot)
    states = snapshot.branches["master"].tables
    rows = DeltaTables(bucket, "master", app=APP, epoch=0).rows(
        {path: s.version for path, s in states.items()}
    )
    for table, expected in whole(moves):
        found = [row for batch in rows.batches(table) for row in batch.to_pylist()]
        assert sorted(found, key=str) == sorted(expected.to_pylist(), key=str), (table.path, moves)
        assert states[table.path].rows == len(expected)
    return moves
