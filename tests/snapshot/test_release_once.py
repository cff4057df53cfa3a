"""A release is written once, whole or not at all."""

from __future__ import annotations

import hashlib
import itertools
import subprocess
from pathlib import Path
from typing import Any

import pytest

import dvidsync_dagster.snapshot
from dvidsync_dagster.errors import OwnershipLost, SnapshotDamaged
from dvidsync_dagster.snapshot.release import release
from dvidsync_dagster.snapshot.store import Bucket
from dvidsync_dagster.snapshot.table import Table
from tests.emulators.emulator import Emulator
from tests.emulators.faults import Faults
from tests.snapshot.followed import EDITS, MAPPING, Follower, Killed, hour
from tests.snapshot.reconstruction import BODIES, CONTENT, TABLES, TAG, UUID, dataset_with, read


def test_a_release_is_written_once(tmp_path: Path) -> None:
    dataset, bucket = dataset_with(tmp_path), Bucket.at(str(tmp_path))
    first = release(dataset, bucket)
    assert first.made
    before = {name: bucket.read(name) for name in bucket.names("releases")}
    again = release(dataset, bucket)
    assert not again.made
    assert (again.folder, again.files) == (first.folder, first.files)
    assert {name: bucket.read(name) for name in bucket.names("releases")} == before
    assert {f"{first.folder}/{name}" for name in [*first.files, "SHA256SUMS"]} == set(before)
    for name, digest in first.files.items():
        assert hashlib.sha256((tmp_path / first.folder / name).read_bytes()).hexdigest() == digest
    subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=tmp_path / first.folder, check=True
    )


def test_a_half_release_is_made_anew_with_the_same_bytes(tmp_path: Path) -> None:
    dataset, bucket = dataset_with(tmp_path), Bucket.at(str(tmp_path))
    whole = release(dataset, bucket)
    for killed_after in range(len(whole.files) + 1):
        bucket.delete(bucket.names("releases"))
        bucket.write(f"{whole.folder}/left-by-another-version.feather", b"x")
        owned = itertools.count()

        def still_owner(owned: Any = owned, killed_after: int = killed_after) -> None:
            if next(owned) == killed_after:
                raise Killed

        with pytest.raises(Killed):
            release(dataset, bucket, still_owner=still_owner)
        assert bucket.read(f"{whole.folder}/SHA256SUMS") is None
        again = release(dataset, bucket)
        assert again == whole
        assert {name.removeprefix(f"{whole.folder}/") for name in bucket.names("releases")} == {
            *whole.files,
            "SHA256SUMS",
        }


def test_a_run_that_lost_the_bucket_writes_nothing(tmp_path: Path) -> None:
    def lost() -> None:
        raise OwnershipLost("another run has it")

    with pytest.raises(OwnershipLost):
        release(dataset_with(tmp_path), Bucket.at(str(tmp_path)), still_owner=lost)
    assert Bucket.at(str(tmp_path)).names("releases") == []


def test_a_list_that_is_damaged_is_told(tmp_path: Path) -> None:
    dataset, bucket = dataset_with(tmp_path), Bucket.at(str(tmp_path))
    bucket.write(f"releases/{UUID}/SHA256SUMS", b"hello")
    with pytest.raises(SnapshotDamaged, match="SHA256SUMS: it holds 'hello'"):
        release(dataset, bucket)


def test_a_second_labelmap_has_a_folder_of_its_own(tmp_path: Path) -> None:
    tables = {
        f"mito/{path}": Table(f"mito/{path}", table.text, table.columns, table.key)
        for path, table in (("mapping", MAPPING), ("bodies", BODIES), ("edits", EDITS))
    }
    follower = Follower(Bucket.at(str(tmp_path)), [*TABLES, *tables.values()])
    content = {**CONTENT, "mito/mapping": [{"sv": 5, "body": 6}], "mito/bodies": [{"body": 6, "voxels": 3}]}
    follower.first(hour(1), content, uuid=UUID)
    dataset = dvidsync_dagster.snapshot.open(str(tmp_path))
    made = release(dataset, Bucket.at(str(tmp_path)), synced={"synapses": "segmentation"})
    assert read(tmp_path, f"mito/tables/complete-nonsingleton-mapping-{TAG}").to_numpy().tolist() == [[5, 6]]
    assert len(read(tmp_path, f"tables/body-size-cache-{TAG}")) == 3
    assert f"flat-connectome/syn-points-{TAG}-minconf-0.0.feather" in made.files
    Bucket.at(str(tmp_path)).delete([f"{made.folder}/SHA256SUMS"])
    untold = release(dataset, Bucket.at(str(tmp_path)))
    assert untold.notes[-1] == "synapses: left out, as it is not known which labelmap lies under it"
    assert f"flat-connectome/syn-points-{TAG}-minconf-0.0.feather" not in untold.files


def test_an_empty_version_and_one_with_an_odd_name(tmp_path: Path) -> None:
    follower = Follower(Bucket.at(str(tmp_path)), TABLES)
    follower.first(hour(1), {}, uuid="release 1/a")
    made = release(dvidsync_dagster.snapshot.open(str(tmp_path)), Bucket.at(str(tmp_path)))
    assert made.folder == "releases/release~201~2Fa"
    assert "tables/complete-nonsingleton-mapping-2026-11-01-releas.feather" in made.files
    assert len(made.files) == 4


def test_a_bucket_that_is_busy_gets_the_same_release(s3: Emulator, tmp_path: Path) -> None:
    whole = release(dataset_with(tmp_path), Bucket.at(str(tmp_path)))
    uri = f"{s3.uri}/busy-release"
    dataset = dataset_with(uri)
    with s3.faults(Faults(busy=0.2)):
        assert release(dataset, Bucket.at(uri)) == whole
    assert not release(dataset, Bucket.at(uri)).made
