"""An object of a bucket is lost, or is an older one: the run says so and changes nothing; once it is back,
the next run ends as if nothing had been."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

from dvidsync_dagster.destinations.bucket.maintenance import maintain
from dvidsync_dagster.errors import SnapshotDamaged
from dvidsync_dagster.snapshot.store import Bucket
from tests.destinations.bucket_scene import LABELS, SourceAndBucket, source_and_bucket
from tests.destinations.test_bucket_killed import assert_same


@pytest.fixture
def here(tmp_path: Path) -> Iterator[SourceAndBucket]:
    with source_and_bucket(tmp_path) as opened:
        yield opened


def worked(here: SourceAndBucket, *seeds: int) -> None:
    """People work, and a run follows, for each seed."""
    for seed in seeds:
        with here.crowd(seed) as crowd:
            crowd.work(20)
        here.sync()


def test_tables_without_a_snapshot_are_left_alone_until_it_is_back(here: SourceAndBucket) -> None:
    here.sync()
    worked(here, 1)
    pointer = here.bucket / "snapshot.json"
    lost = pointer.read_bytes()
    pointer.unlink()
    before = sorted(here.bucket.rglob("*"))
    with pytest.raises(
        SnapshotDamaged,
        match=r"snapshot\.json: it is gone, and its tables are there\. Bring back an older one",
    ):
        here.sync()
    assert not maintain(Bucket.at(str(here.bucket)), here.root, app="x", kept=timedelta(days=1))
    assert sorted(here.bucket.rglob("*")) == before
    pointer.write_bytes(lost)
    worked(here, 2)
    undisturbed = here.folder / "undisturbed"
    here.sync(undisturbed)
    assert_same(here, undisturbed)


def test_a_run_goes_on_from_an_older_snapshot_that_was_brought_back(here: SourceAndBucket) -> None:
    here.sync()
    undisturbed = here.folder / "undisturbed"
    here.sync(undisturbed)
    older = (here.bucket / "snapshot.json").read_bytes()
    worked(here, 1, 2, 3, 4)
    (here.bucket / "snapshot.json").write_bytes(older)
    worked(here, 5)
    here.sync(undisturbed)
    assert_same(here, undisturbed)


def test_a_file_of_a_table_that_is_gone_is_named(here: SourceAndBucket) -> None:
    here.sync()
    undisturbed = here.folder / "undisturbed"
    here.sync(undisturbed)
    version = here.pointer().branches["master"].tables[f"{LABELS}/mapping"].version
    [uri] = DeltaTable(str(here.bucket / f"master/{LABELS}/mapping"), version).file_uris()
    file = Path(uri.removeprefix("file://"))
    lost = file.read_bytes()
    file.unlink()
    before = here.pointer()
    here.post(f"{LABELS}/merge", [1, 2])
    with pytest.raises(SnapshotDamaged, match=f"missing: .*{file.name}.*Bring the object back"):
        here.sync()
    assert here.pointer().checkpoint == before.checkpoint
    assert here.pointer().branches == before.branches
    file.write_bytes(lost)
    here.sync()
    here.sync(undisturbed)
    assert_same(here, undisturbed)
