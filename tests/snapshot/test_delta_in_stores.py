"""The tables of a branch in object stores: what is busy, refused, lost, or left by runs that were stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dvidsync_dagster.errors import OwnershipLost, SnapshotDamaged, StorageRefused
from dvidsync_dagster.snapshot.delta import DeltaTables
from dvidsync_dagster.snapshot.store import Bucket
from dvidsync_dagster.snapshot.table import Change
from tests.emulators.emulator import Emulator
from tests.emulators.faults import Faults
from tests.snapshot.test_delta import APP, MAPPING, batches, mapped, mapping, without

PATH = MAPPING.path


class Place:
    """A folder of a store, for one test."""

    def __init__(self, store: Emulator, name: str) -> None:
        self.store = store
        self.bucket = Bucket.at(f"{store.uri}/{name}", patience=timedelta(seconds=20))

    def tables(self, epoch: int = 1) -> DeltaTables:
        return DeltaTables(self.bucket, "master", app=APP, epoch=epoch)


@pytest.fixture
def place(store: Emulator, tmp_path: Path) -> Place:
    return Place(store, tmp_path.name)


def created(tables: DeltaTables, content: dict[int, int]) -> int:
    return tables.create(MAPPING, batches(MAPPING, mapping(content).to_pylist()))


def put(tables: DeltaTables, content: dict[int, int], at: int = 1) -> int:
    return tables.commit(MAPPING, Change(mapping(content)), at=at, key_ns=at)


def test_busy_answers_and_lost_ones_change_nothing(place: Place) -> None:
    tables = place.tables()
    model = {1: 1, 2: 2}
    version = created(tables, model)
    with place.store.faults(Faults(busy=0.2, lost=0.1)):
        for number in range(2):
            model |= {number: 10 + number}
            change = Change(mapping({number: 10 + number}), without(90 + number))
            version = tables.commit(MAPPING, change, at=number, key_ns=number)
            assert mapped(tables, version) == model
        tables = place.tables(epoch=2)
        assert mapped(tables, tables.restore(PATH, version)) == model
        assert mapped(tables, tables.compact(PATH)) == model
        assert mapped(tables, tables.vacuum(PATH, [], timedelta(0))) == model


def test_what_a_stopped_run_wrote_is_taken_back(place: Place) -> None:
    stopped = place.tables()
    named = created(stopped, {1: 1, 2: 2})
    put(stopped, {1: 5})
    put(stopped, {3: 3})
    tables = place.tables(epoch=2)
    restored = tables.restore(PATH, named)
    assert restored > named
    assert mapped(tables, restored) == mapped(tables, named) == {1: 1, 2: 2}
    assert mapped(tables, put(tables, {2: 9})) == {1: 1, 2: 9}


def test_an_older_run_that_goes_on_is_taken_back_and_then_stops(place: Place) -> None:
    older = place.tables()
    named = created(older, {1: 1})
    newer = place.tables(epoch=2)
    assert newer.restore(PATH, named) == named
    put(older, {1: 66, 2: 66})  # it has not seen yet that it is the older one
    version = put(newer, {3: 3})
    assert mapped(newer, version) == {1: 1, 3: 3}
    with pytest.raises(OwnershipLost, match="run 2 has written it, and this is run 1"):
        put(older, {4: 66})
    assert mapped(newer, put(newer, {6: 6})) == {1: 1, 3: 3, 6: 6}


@pytest.mark.parametrize(("status", "code"), [(403, "AccessDenied"), (507, "StorageFull")])
def test_a_refused_write_is_not_taken_for_another_run(place: Place, status: int, code: str) -> None:
    tables = place.tables()
    version = created(tables, {1: 1})
    hasty = DeltaTables(Bucket.at(place.bucket.uri, patience=timedelta(0)), "master", app=APP, epoch=1)
    hasty.restore(PATH, version)
    with place.store.faults(Faults(status=status, code=code, methods=("PUT", "POST"))):
        with pytest.raises(StorageRefused, match=f"{status} {code}"):
            put(hasty, {2: 2})
        with pytest.raises(StorageRefused, match=f"{status} {code}"):
            created(hasty, {2: 2})
    tables = place.tables()
    assert tables.restore(PATH, version) == version
    assert mapped(tables, put(tables, {3: 3})) == mapped(tables, version) | {3: 3}


def test_rows_are_not_made_for_a_store_that_refuses_them(place: Place) -> None:
    def endless() -> Iterator[pa.RecordBatch]:
        chance = np.random.default_rng(1)
        while True:
            numbers = pa.array(chance.integers(0, 2**63, 100_000))
            yield pa.record_batch([numbers, numbers], schema=MAPPING.schema)

    with (
        place.store.faults(Faults(status=403, code="AccessDenied", methods=("PUT", "POST"))),
        pytest.raises(StorageRefused),
    ):
        place.tables().create(MAPPING, endless())


def test_a_bucket_that_forbids_deletes_is_told_of(place: Place) -> None:
    tables = place.tables()
    created(tables, {1: 1})
    version = put(tables, {1: 2})
    with (
        place.store.faults(Faults(status=403, code="AccessDenied", methods=("DELETE", "POST"))),
        pytest.raises(StorageRefused, match="write and delete there"),
    ):
        tables.vacuum(PATH, [], timedelta(0))
    tables = place.tables(epoch=2)
    assert mapped(tables, tables.restore(PATH, version)) == {1: 2}


def test_what_is_lost_is_told_of_and_a_run_goes_on_when_it_is_back(place: Place) -> None:
    tables = place.tables()
    named = created(tables, {1: 1})
    [file] = [name for name in place.bucket.names() if name.endswith(".parquet")]
    there = place.bucket.read(file)
    assert there is not None
    put(tables, {1: 2})
    place.bucket.delete([file])
    at = tables.rows({PATH: named})
    attempts: list[Callable[[], object]] = [
        lambda: list(at.batches(MAPPING)),
        lambda: at.find(MAPPING, "sv", [1]),
        lambda: place.tables(2).restore(PATH, named),
    ]
    for attempt in attempts:
        with pytest.raises(SnapshotDamaged, match=r"\.parquet.*Bring the object back"):
            attempt()
    place.bucket.write(file, there.content)
    again = place.tables(2)
    assert mapped(again, again.restore(PATH, named)) == {1: 1}


def test_a_table_that_is_gone_is_told_of(place: Place) -> None:
    tables = place.tables()
    named = created(tables, {1: 1})
    place.bucket.delete(place.bucket.names())
    with pytest.raises(
        SnapshotDamaged, match=r"the table is gone, and had version 0.*dvidsync repair --apply"
    ):
        place.tables(2).restore(PATH, named)
    with pytest.raises(SnapshotDamaged, match="there is no such table"):
        list(place.tables(2).rows({PATH: named}).batches(MAPPING))
