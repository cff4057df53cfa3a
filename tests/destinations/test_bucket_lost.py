"""An object of a bucket is lost, or is an older one: the run says so and changes nothing; once it is back,
the next run ends as if nothing had been."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from dvidsync_dagster import snapshot
from dvidsync_dagster.destinations.bucket.maintenance import maintain
from dvidsync_dagster.differences.work import Repair
from dvidsync_dagster.errors import SnapshotDamaged
from dvidsync_dagster.repair.repairing import repair
from dvidsync_dagster.snapshot.store import Bucket
from tests.destinations.bucket_scene import (
    KEYS,
    LABELS,
    NEURONS,
    SourceAndBucket,
    comparable,
    source_and_bucket,
)
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


def files_of(here: SourceAndBucket, path: str, version: int) -> list[Path]:
    """The files that hold a table's rows at one of Delta's versions."""
    uris = DeltaTable(str(here.bucket / f"master/{path}"), version).file_uris()
    return [Path(uri.removeprefix("file://")) for uri in uris]


def newest_files(here: SourceAndBucket, path: str) -> list[Path]:
    return files_of(here, path, here.pointer().branches["master"].tables[path].version)


def pinned_files(here: SourceAndBucket, path: str, version: str) -> list[Path]:
    return files_of(here, path, here.pointer().pins[version].tables[path])


def repaired(here: SourceAndBucket, *, dry_run: bool = False) -> Repair:
    config = here.config()
    return repair(config, config.destinations[0], dry_run=dry_run, still_owner=lambda: None)


def damage(file: Path) -> None:
    """One byte is another one: of a value in a table's file, else the first."""
    content = bytearray(file.read_bytes())
    place = 0
    if file.suffix == ".parquet":
        column = pq.read_metadata(file).row_group(0).column(0)
        place = column.data_page_offset + column.total_compressed_size - 1
    content[place] ^= 1
    file.write_bytes(content)


def test_a_file_of_a_table_that_is_gone_is_named(here: SourceAndBucket) -> None:
    here.sync()
    undisturbed = here.folder / "undisturbed"
    here.sync(undisturbed)
    [file] = newest_files(here, f"{LABELS}/mapping")
    lost = file.read_bytes()
    file.unlink()
    before = here.pointer()
    here.post(f"{LABELS}/merge", [1, 2])
    with pytest.raises(
        SnapshotDamaged, match=f"missing: .*{file.name}.*Bring the object back.*`dvidsync repair --apply`"
    ):
        here.sync()
    assert here.pointer().checkpoint == before.checkpoint
    assert here.pointer().branches == before.branches
    file.write_bytes(lost)
    here.sync()
    here.sync(undisturbed)
    assert_same(here, undisturbed)


@pytest.fixture
def two(here: SourceAndBucket) -> tuple[SourceAndBucket, Path, str]:
    """With work in a version that is committed by now, and in its child; beside it, a bucket that loses
    nothing."""
    undisturbed = here.folder / "undisturbed"
    for each in (None, undisturbed):
        here.sync(each)
    with here.crowd(1) as crowd:
        crowd.work(60)
    here.source.restart()
    version = here.commit_newest()
    here.go_on()
    here.sync()
    with here.crowd(2) as crowd:
        crowd.work(40)
    here.source.restart()
    for each in (None, undisturbed):
        here.sync(each)
    return here, undisturbed, version


def people_go_on(here: SourceAndBucket) -> None:
    with here.crowd(3) as crowd:
        crowd.work(20)
    here.source.restart()


@pytest.mark.parametrize("path", [f"{LABELS}/mapping", f"{LABELS}/edits", KEYS])
def test_what_a_run_has_lost_since_the_last_commit_comes_again_from_the_log(
    two: tuple[SourceAndBucket, Path, str], path: str
) -> None:
    here, undisturbed, version = two
    lost = set(newest_files(here, path)) - set(pinned_files(here, path, version))
    if not lost:
        pytest.skip("the log brought nothing to it since")
    for file in lost:
        file.unlink()
    readable(here, version, but=path)
    with pytest.raises(SnapshotDamaged, match=f"lost: .*{path}.*Bring it back.*goes back to .*{version}"):
        repaired(here, dry_run=True)
    assert here.pointer().checkpoint is not None
    with pytest.raises(SnapshotDamaged, match=f"goes back to .*{version}: let a run follow from there now"):
        repaired(here)
    assert snapshot.open(str(here.bucket)).uuid == version
    here.sync()
    assert_same(here, undisturbed)
    assert repaired(here).agree


@pytest.mark.parametrize(
    ("path", "what"),
    [
        (f"{LABELS}/mapping", "files"),
        (f"{LABELS}/bodies", "folder"),
        (f"{LABELS}/mapping", "bytes"),
        (KEYS, "bytes"),
        (KEYS, "log"),
        (KEYS, "first commit"),
        (NEURONS, "last commit"),
        (NEURONS, "files"),
        ("versions", "folder"),
    ],
)
def test_what_the_last_commit_has_lost_too_is_read_anew(
    two: tuple[SourceAndBucket, Path, str], path: str, what: str
) -> None:
    here, undisturbed, version = two
    folder = here.bucket / "master" / path
    match what:
        case "files":
            for file in {*newest_files(here, path), *pinned_files(here, path, version)}:
                file.unlink()
        case "bytes":
            for file in {*newest_files(here, path), *pinned_files(here, path, version)}:
                damage(file)
        case "first commit":
            damage(min((folder / "_delta_log").glob("*.json")))
        case "last commit":
            damage(max((folder / "_delta_log").glob("*.json")))
        case "log":
            shutil.rmtree(folder / "_delta_log")
        case "folder":
            shutil.rmtree(folder)
    people_go_on(here)
    with suppress(SnapshotDamaged):
        here.sync()  # ends if it needs what is lost
    with pytest.raises(SnapshotDamaged):
        repaired(here, dry_run=True)
    with pytest.raises(SnapshotDamaged, match="let a run follow from there now"):
        repaired(here)
    here.sync()
    here.sync(undisturbed)
    # Of bodies the source tells the whole second alone.
    edits = path != f"{LABELS}/bodies"
    assert comparable(here.content(), edits=edits) == comparable(here.content(undisturbed), edits=edits)
    assert comparable(here.content(version=version)) == comparable(here.content(undisturbed, version=version))
    repaired(here)  # other versions have lost it too
    assert repaired(here).agree
    assert here.pointer().pins.keys() == here.pointer(undisturbed).pins.keys()


def test_of_a_damaged_log_stays_what_an_older_version_needs(two: tuple[SourceAndBucket, Path, str]) -> None:
    here, _, _ = two
    pins = here.pointer().pins
    [(first, version), (_, later)] = [(uuid, pin.tables[KEYS]) for uuid, pin in pins.items()]
    assert version < later
    before = here.content(version=first)
    damage(here.bucket / f"master/{KEYS}/_delta_log/{version + 1:020d}.json")
    with pytest.raises(SnapshotDamaged, match="let a run follow from there now"):
        repaired(here)
    assert here.content(version=first) == before
    here.sync()
    assert here.content(version=first) == before


def test_a_committed_version_that_has_lost_a_file_gets_it_from_the_source(
    two: tuple[SourceAndBucket, Path, str],
) -> None:
    here, undisturbed, _ = two
    [first, _] = here.pointer().pins
    path = f"{LABELS}/mapping"
    before = here.content()
    lost = set(pinned_files(here, path, first)) - set(newest_files(here, path))
    assert lost
    for file in lost:
        file.unlink()
    people_go_on(here)
    for each in (None, undisturbed):
        here.sync(each)  # runs need none of it
    assert here.content() != before
    readable(here, first, but=path)
    with pytest.raises(SnapshotDamaged, match=f"committed versions have lost {first}: .*{path}"):
        repaired(here, dry_run=True)
    assert repaired(here).agree
    assert_same(here, undisturbed)
    here.sync()
    assert_same(here, undisturbed)


def test_without_a_committed_version_the_folder_is_to_be_made_anew(tmp_path: Path) -> None:
    with source_and_bucket(tmp_path, is_open=True) as here:
        here.sync()
        here.put_key("a", "1")
        here.sync()
        assert here.pointer().checkpoint is not None
        for file in newest_files(here, KEYS):
            file.unlink()
        before = here.pointer()
        with pytest.raises(SnapshotDamaged, match=r"lost: .*Else delete the snapshot's folder"):
            repaired(here)
        assert here.pointer() == before
        here.empty()
        here.sync()
        here.put_key("b", "2")
        here.sync()
        assert {row["key"] for row in here.content()[KEYS]} == {"first", "a", "b"}


def readable(here: SourceAndBucket, version: str, *, but: str) -> None:
    """All tables but one can be read, and those of the other versions."""
    for uuid in (None, *here.pointer().pins):
        dataset = snapshot.open(str(here.bucket), version=uuid)
        for name in dataset:
            if name != but or uuid not in (None, version):
                dataset.frame(name)
