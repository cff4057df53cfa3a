"""Tables of values in a bucket: what a side reads of them, and gives for them, fits Delta's tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

import pyarrow as pa
import pytest

from dvid_sandbox.broker import EmbeddedBroker
from dvidsync_dagster.datatypes.repo.snapshot import PATH, VersionsSnapshot
from dvidsync_dagster.datatypes.snapshot_side import SnapshotSide
from dvidsync_dagster.dvid.patience import MIB
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.snapshot.delta import DeltaTables
from dvidsync_dagster.snapshot.store import Bucket
from dvidsync_dagster.snapshot.table import Table, TableRows
from tests.datatypes.edits import edit_elements, edit_keys, edit_neurons, in_pieces, split_some
from tests.datatypes.memory_tables import MemoryTables, filled
from tests.datatypes.source_log import KEYS, NEURONS, SYNAPSES, SourceLog, sandbox_log
from tests.datatypes.test_snapshot_neuronjson import assert_columns_hold_the_fields, texts


@pytest.fixture
def log(tmp_path: Path, broker: EmbeddedBroker, made_synced: tuple[Path, str]) -> Iterator[SourceLog]:
    with sandbox_log(tmp_path, broker.address, made_synced) as opened:
        yield opened


class BucketTables:
    """Tables in a folder, as a run keeps them."""

    def __init__(self, folder: Path) -> None:
        self.tables: dict[str, Table] = {}
        self._delta = DeltaTables(Bucket.at(str(folder)), "master", app="dvidsync/test/bucket", epoch=1)
        self._versions: dict[str, int] = {}
        self._commits = 0

    @property
    def rows(self) -> TableRows:
        return self._delta.rows(self._versions)

    def create(self, table: Table, batches: Iterator[pa.RecordBatch]) -> None:
        self.tables[table.path] = table
        self._versions[table.path] = self._delta.create(table, batches)

    def follow(self, side: SnapshotSide, events: Sequence[Event], version: str) -> None:
        for path, change in side.changes(events, version, self.rows).items():
            table = change.table or self.tables[path]
            if change.anew is not None:
                self.create(table, change.anew)
            else:
                self._commits += 1
                self._versions[path] = self._delta.commit(table, change, at=self._commits, key_ns=1)
                self.tables[path] = table

    def read(self) -> MemoryTables:
        """What it holds."""
        tables = MemoryTables()
        for table in self.tables.values():
            batches = pa.Table.from_batches(self.rows.batches(table), table.schema)
            tables.create(table, iter(batches.to_batches()))
            assert self.rows.schema(table).names == table.schema.names
        return tables


def edit_elements_and_labels(log: SourceLog, random: Random, count: int) -> None:
    edit_elements(log, random, count)
    split_some(log, random, 2)


@pytest.mark.parametrize(
    ("instance", "edit"), [(KEYS, edit_keys), (NEURONS, edit_neurons), (SYNAPSES, edit_elements_and_labels)]
)
def test_tables_follow(
    log: SourceLog, tmp_path: Path, instance: str, edit: Callable[[SourceLog, Random, int], None]
) -> None:
    random = Random(7)
    edit(log, random, 20)
    log.new_events()
    tables = BucketTables(tmp_path / "bucket")
    for table, batches in log.side(instance).whole(log.version):
        tables.create(table, batches)
    for _ in range(2):
        edit(log, random, 12)
        for piece in in_pieces(log.new_events(), random):
            tables.follow(log.side(instance), piece, log.version)
    found, scratch = tables.read(), filled(log.side(instance), log.version)
    if instance == NEURONS:
        assert texts(found) == texts(scratch)
        assert_columns_hold_the_fields(found)
    else:
        assert found.rows(instance) == scratch.rows(instance)
    assert len(scratch.rows(instance)) > 5


def test_fields_come_and_change_their_types(log: SourceLog, tmp_path: Path) -> None:
    tables = BucketTables(tmp_path / "bucket")
    log.put_neuron(1, size=1, status="Traced", position=[1, 2, 3])
    log.new_events()
    for table, batches in log.side(NEURONS).whole(log.version):
        tables.create(table, batches)
    for fields in ({"tags": ["a"]}, {"size": 1.5}, {"size": "large"}, {"more": True, "position": ["x"]}):
        log.put_neuron(len(fields) + len(tables.tables), **fields)
        tables.follow(log.side(NEURONS), log.new_events(), log.version)
        assert_columns_hold_the_fields(tables.read())
        assert texts(tables.read()) == texts(filled(log.side(NEURONS), log.version))


def test_versions_follow(log: SourceLog, tmp_path: Path) -> None:
    log.post("commit", {"note": "first", "log": ["one"]})
    log.new_events()
    side = VersionsSnapshot(log.client, log.root, "master")
    tables = BucketTables(tmp_path / "bucket")
    for table, batches in side.whole(log.root):
        tables.create(table, batches)
    log.version = str(log.post("newversion", {"note": "next"})["child"])
    log.post("commit", {"note": "done"})
    tables.follow(side, log.new_events(), log.version)
    assert tables.read().rows(PATH) == filled(side, log.version).rows(PATH)


def test_large_values(log: SourceLog, tmp_path: Path) -> None:
    """More of them in one change than stay in memory."""
    tables = BucketTables(tmp_path / "bucket")
    for table, batches in log.side(KEYS).whole(log.version):
        tables.create(table, batches)
    for number in range(5):
        log.put_key(b"%d" % number, bytes([number]) * 16 * MIB)
    tables.follow(log.side(KEYS), log.new_events(), log.version)
    rows = tables.read().rows(KEYS)
    assert {key: (row["value"][:1], row["size"]) for (key,), row in rows.items()} == {
        str(number): (bytes([number]), 16 * MIB) for number in range(5)
    }
