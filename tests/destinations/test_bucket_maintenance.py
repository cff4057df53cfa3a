"""Maintenance: fewer files, the same rows; what is pinned, read or young stays."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

import dvidsync_dagster.snapshot
from dvidsync_dagster.destinations.bucket.maintenance import SHORTEST, maintain
from dvidsync_dagster.errors import OwnershipLost
from dvidsync_dagster.snapshot.pointer import Pointer
from dvidsync_dagster.snapshot.store import Bucket
from tests.snapshot.followed import MAPPING, REPO, Follower, hour

APP = f"dvidsync/{REPO}/cloud"
PINNED = "b" * 32


@pytest.fixture
def follower(tmp_path: Path) -> Follower:
    """Ten chunks, the fourth of which ends with a commit."""
    follower = Follower(Bucket.at(str(tmp_path)))
    follower.first(hour(1), {MAPPING.path: [{"sv": sv, "body": sv} for sv in range(10)]})
    for number in range(10):
        moved = {MAPPING.path: [{"sv": number, "body": 100 + number}]}
        follower.chunk(hour(2 + number), moved, uuid=PINNED if number == 3 else "a" * 32, pin=number == 3)
    return follower


def maintained(follower: Follower) -> None:
    maintain(follower.bucket, REPO, app=APP, kept=SHORTEST)


def mapping(follower: Follower, version: str | None = None) -> dict[int, int]:
    frame = dvidsync_dagster.snapshot.open(follower.bucket.uri, version=version).frame(MAPPING.path)
    return dict(zip(frame["sv"].tolist(), frame["body"].tolist(), strict=True))


def parquet(folder: Path) -> set[Path]:
    return set(folder.glob("master/segmentation/mapping/*.parquet"))


def hours_pass(folder: Path, hours: int) -> None:
    """As far as the tables' logs and the files tell."""
    for log in folder.glob("**/_delta_log/*.json"):
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        for line in lines:
            if "remove" in line:
                line["remove"]["deletionTimestamp"] -= hours * 3_600_000
        log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for file in folder.glob("**/*.parquet"):
        old = file.stat().st_mtime - hours * 3600
        os.utime(file, (old, old))


def test_rows_stay_and_files_become_few(follower: Follower) -> None:
    before = Pointer.load(follower.bucket)
    assert before is not None
    done = maintain(follower.bucket, REPO, app=APP, kept=SHORTEST)
    assert {(each.branch, each.path) for each in done} >= {("master", MAPPING.path)}
    assert all(each.files_after <= each.files_before for each in done)
    assert mapping(follower) == {sv: 100 + sv for sv in range(10)}
    after = Pointer.load(follower.bucket)
    assert after is not None
    assert after.checkpoint == before.checkpoint
    assert after.pins == before.pins
    assert after.epoch == before.epoch + 1


def test_what_nothing_needs_goes_in_the_end(follower: Follower, tmp_path: Path) -> None:
    young = parquet(tmp_path)
    maintained(follower)
    assert parquet(tmp_path) >= young
    hours_pass(tmp_path, 2)
    maintained(follower)
    left = parquet(tmp_path)
    assert len(left) < len(young)
    pinned = mapping(follower, version=PINNED)
    assert pinned == {sv: 100 + sv if sv <= 3 else sv for sv in range(10)}
    assert mapping(follower) == {sv: 100 + sv for sv in range(10)}


def test_a_reader_of_the_newest_moment_is_not_disturbed(follower: Follower, tmp_path: Path) -> None:
    """By one that comes after the files that it had opened became old."""
    dataset = dvidsync_dagster.snapshot.open(follower.bucket.uri)
    maintained(follower)
    assert len(dataset.frame(MAPPING.path)) == 10
    hours_pass(tmp_path, 2)
    maintained(follower)
    assert mapping(follower) == {sv: 100 + sv for sv in range(10)}


def test_the_next_run_goes_on(follower: Follower) -> None:
    maintained(follower)
    follower.new_run()
    follower.chunk(hour(13), {MAPPING.path: [{"sv": 50, "body": 50}]})
    assert mapping(follower)[50] == 50


def test_one_that_was_killed_is_taken_back(follower: Follower, tmp_path: Path) -> None:
    """Its tables are ahead of the snapshot, which readers see whole."""

    class Stopped(BaseException):
        pass

    def stop(_: str) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        maintain(follower.bucket, REPO, app=APP, kept=SHORTEST, say=stop)
    assert mapping(follower) == {sv: 100 + sv for sv in range(10)}
    maintained(follower)
    assert mapping(follower) == {sv: 100 + sv for sv in range(10)}
    newest = DeltaTable(str(tmp_path / "master/segmentation/mapping")).version()
    snapshot = Pointer.load(follower.bucket)
    assert snapshot is not None
    assert snapshot.branches["master"].tables[MAPPING.path].version == newest


def test_a_run_that_was_there_before_stops(follower: Follower) -> None:
    maintained(follower)
    with pytest.raises(OwnershipLost):
        follower.chunk(hour(13), {MAPPING.path: [{"sv": 50, "body": 50}]})
    assert 50 not in mapping(follower)


def test_files_are_never_taken_from_readers_at_once(follower: Follower) -> None:
    with pytest.raises(ValueError, match="kept for"):
        maintain(follower.bucket, REPO, app=APP, kept=timedelta(minutes=59))
