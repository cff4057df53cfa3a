"""Maintenance: fewer files, the same rows; what is pinned, read or young stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

import dvidsync_dagster.snapshot
from dvidsync_dagster.destinations.bucket.maintenance import SHORTEST, maintain
from dvidsync_dagster.errors import ConfigurationError, OwnershipLost, StorageRefused
from dvidsync_dagster.snapshot.dataset import Dataset
from dvidsync_dagster.snapshot.delta import DeltaTables
from dvidsync_dagster.snapshot.pointer import BranchState, Pointer
from dvidsync_dagster.snapshot.points import POINTS, Point, in_order
from dvidsync_dagster.snapshot.store import Bucket
from tests.emulators.emulator import Emulator
from tests.emulators.faults import Faults
from tests.snapshot.followed import MAPPING, REPO, Follower, hour

MANY = os.environ.get("DVIDSYNC_ALL_FAULTS") == "1"
pytestmark = pytest.mark.timeout(1800 if MANY else 300)
APP = f"dvidsync/{REPO}/cloud"
PINNED = "b" * 32


@pytest.fixture
def follower(tmp_path: Path) -> Follower:
    """Ten chunks, the fourth of which ends with a commit."""
    follower = Follower(Bucket.at(str(tmp_path)))
    follower.first(hour(1), {MAPPING.path: [{"sv": sv, "body": sv} for sv in range(10)]})
    chunks(follower)
    return follower


def chunks(follower: Follower) -> None:
    for number in range(10):
        moved = {MAPPING.path: [{"sv": number, "body": 100 + number}]}
        follower.chunk(hour(2 + number), moved, uuid=PINNED if number == 3 else "a" * 32, pin=number == 3)


def state(follower: Follower) -> BranchState:
    """Of the branch, as readers find it."""
    snapshot = Pointer.load(follower.bucket)
    assert snapshot is not None
    return snapshot.branches["master"]


def maintained(follower: Follower) -> None:
    maintain(follower.bucket, REPO, app=APP, kept=SHORTEST)


def mapping(follower: Follower, version: str | None = None) -> dict[int, int]:
    frame = dvidsync_dagster.snapshot.open(follower.bucket.uri, version=version).frame(MAPPING.path)
    return dict(zip(frame["sv"].tolist(), frame["body"].tolist(), strict=True))


def parquet(folder: Path) -> set[Path]:
    return set(folder.glob("master/segmentation/mapping/*.parquet"))


def hours_pass(folder: Path, hours: int) -> None:
    """As far as the tables' logs and the files tell."""
    logs_age(Bucket.at(str(folder)), hours)
    for file in folder.glob("**/*.parquet"):
        old = file.stat().st_mtime - hours * 3600
        os.utime(file, (old, old))


def logs_age(bucket: Bucket, hours: int) -> None:
    for name in bucket.names():
        if "/_delta_log/" in name and name.endswith(".json"):
            log = bucket.read(name)
            assert log is not None
            lines = [json.loads(line) for line in log.content.splitlines()]
            for line in lines:
                if "remove" in line:
                    line["remove"]["deletionTimestamp"] -= hours * 3_600_000
            bucket.write(name, "".join(json.dumps(line) + "\n" for line in lines).encode())


def test_the_moment_of_maintenance_is_a_point_with_the_tables_as_they_are_now(follower: Follower) -> None:
    maintained(follower)
    tables = state(follower).tables
    points = dvidsync_dagster.snapshot.open(follower.bucket.uri).arrow(POINTS.path)
    assert tables[POINTS.path].rows == len(points)
    others = {path: table.version for path, table in tables.items() if path != POINTS.path}
    assert in_order(points)[-1] == Point(state(follower).log_time_ns, "a" * 32, others)
    for path, table in tables.items():
        assert table.rows == len(dvidsync_dagster.snapshot.open(follower.bucket.uri).arrow(path))


def test_maintenance_that_finds_nothing_to_do_adds_no_point(follower: Follower) -> None:
    maintained(follower)
    before = state(follower)
    maintained(follower)
    points = dvidsync_dagster.snapshot.open(follower.bucket.uri).arrow(POINTS.path)
    assert len(points) == before.tables[POINTS.path].rows == state(follower).tables[POINTS.path].rows


HOURS = range(1, 12)
"""Of the log, at which the follower's snapshot has a point."""


def at_hour(number: int) -> dict[int, int]:
    """The mapping at an hour of the log."""
    return {sv: 100 + sv if sv <= number - 2 else sv for sv in range(10)}


def of_dataset(dataset: Dataset) -> dict[int, int]:
    frame = dataset.frame(MAPPING.path)
    return dict(zip(frame["sv"].tolist(), frame["body"].tolist(), strict=True))


def all_moments(follower: Follower) -> dict[int, dict[int, int] | None]:
    """What readers by time get; None where it is no longer kept."""
    found: dict[int, dict[int, int] | None] = {}
    for number in HOURS:
        try:
            dataset = dvidsync_dagster.snapshot.open(follower.bucket.uri, at=hour(number))
        except ConfigurationError:
            found[number] = None
        else:
            found[number] = of_dataset(dataset)
    return found


def test_every_moment_of_the_kept_time_can_be_read(follower: Follower, tmp_path: Path) -> None:
    moments = {number: at_hour(number) for number in HOURS}
    for _ in range(3):
        maintained(follower)
        assert all_moments(follower) == moments
    hours_pass(tmp_path, 2)
    readers = [dvidsync_dagster.snapshot.open(follower.bucket.uri, version=each) for each in (None, PINNED)]
    maintained(follower)
    kept = all_moments(follower)
    assert kept[HOURS[-1]] == moments[HOURS[-1]]
    assert all(found in (None, moments[number]) for number, found in kept.items())
    assert None in kept.values()
    for reader, number in zip(readers, (HOURS[-1], 5), strict=True):
        assert of_dataset(reader) == at_hour(number)


def test_what_other_programs_clean_up_by_default_is_nothing_that_a_version_needs(
    follower: Follower, tmp_path: Path
) -> None:
    """Their usual limits are a week for files, and thirty days for logs."""
    maintained(follower)
    hours_pass(tmp_path, 24 * 400)
    for log in tmp_path.glob("master/**/_delta_log/*"):
        old = log.stat().st_mtime - 400 * 24 * 3600
        os.utime(log, (old, old))
    files = follower.bucket.names()
    for path in (MAPPING.path, "notes", POINTS.path):
        table = DeltaTable(str(tmp_path / "master" / path))
        table.create_checkpoint()
        table.cleanup_metadata()
        assert table.vacuum(dry_run=False) == []
        assert table.vacuum(dry_run=False, full=True) == []
    assert set(files) <= set(follower.bucket.names())
    assert mapping(follower, version=PINNED) == at_hour(5)
    follower.new_run()
    follower.chunk(hour(13), {MAPPING.path: [{"sv": 0, "body": 0}]})
    assert mapping(follower) == {**at_hour(12), 0: 0}
    assert mapping(follower, version=PINNED) == at_hour(5)


class Maintenance:
    """One in a process of its own, which waits until it is told to begin."""

    def __init__(self, uri: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.destinations.maintenance_child", uri, REPO, APP],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == "ready\n"

    def ended(self) -> bool:
        """Whether it came to its end; False if it was killed."""
        printed, _ = self.process.communicate("go\n")
        assert self.process.returncode in (0, -9), printed
        return self.process.returncode == 0


def test_maintenance_that_is_killed_at_any_request_leaves_all_that_somebody_needs(
    s3: Emulator, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    bucket = Bucket.at(f"{s3.uri}/{tmp_path.name}")
    follower = Follower(bucket, (MAPPING,))
    follower.first(hour(1), {MAPPING.path: [{"sv": sv, "body": sv} for sv in range(10)]})
    chunks(follower)
    bucket.write(f"releases/{PINNED}/SHA256SUMS", b"x")
    logs_age(bucket, 2)
    follower.new_run()
    follower.chunk(hour(12), {MAPPING.path: [{"sv": 10, "body": 10}]})
    before = {name for name in bucket.names() if name.endswith(".parquet")}
    young = dvidsync_dagster.snapshot.open(bucket.uri)
    kills, request = 0, 1
    while True:
        maintenance = Maintenance(bucket.uri)
        s3.set(Faults(kill=maintenance.process.pid, at=request, done=request % 2 == 0))
        is_over = maintenance.ended()
        s3.set(Faults())
        assert mapping(follower) == {**at_hour(11), 10: 10}
        assert mapping(follower, version=PINNED) == at_hour(5)
        assert len(young.frame(MAPPING.path)) == 11
        assert bucket.read(f"releases/{PINNED}/SHA256SUMS") is not None
        if is_over:
            break
        kills += 1
        request += 3 if MANY else 25
    assert before - set(bucket.names())
    record_property("kills", kills)
    assert kills > (20 if MANY else 1)
    follower.new_run()
    follower.chunk(hour(13), {MAPPING.path: [{"sv": 11, "body": 11}]})
    assert mapping(follower) == {**at_hour(11), 10: 10, 11: 11}
    assert mapping(follower, version=PINNED) == at_hour(5)


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


def test_what_may_not_be_deleted_stays_and_all_else_is_done(store: Emulator, tmp_path: Path) -> None:
    bucket = Bucket.at(f"{store.uri}/{tmp_path.name}")
    bucket.seconds_between_writes = 0.0  # Google's emulator takes any number
    follower = Follower(bucket, (MAPPING,))
    follower.first(hour(1), {MAPPING.path: [{"sv": 0, "body": 0}]})
    follower.chunk(hour(2), {MAPPING.path: [{"sv": 1, "body": 1}]})
    maintained(follower)
    logs_age(bucket, 2)
    follower.new_run()
    for number in range(2):
        follower.chunk(hour(3 + number), {MAPPING.path: [{"sv": 2 + number, "body": 9}]})
    before = bucket.names()
    with (
        store.faults(Faults(status=403, code="AccessDenied", methods=("DELETE", "POST"))),
        pytest.raises(StorageRefused, match=r"few files now, .* cannot be deleted: .*403 .*Allow the login"),
    ):
        maintained(follower)
    assert set(before) <= set(bucket.names())
    assert files(follower) == 1
    assert mapping(follower) == {0: 0, 1: 1, 2: 9, 3: 9}
    follower.new_run()
    follower.chunk(hour(5), {MAPPING.path: [{"sv": 4, "body": 4}]})
    maintained(follower)
    assert set(before) - set(bucket.names())
    assert mapping(follower) == {0: 0, 1: 1, 2: 9, 3: 9, 4: 4}


def files(follower: Follower) -> int:
    """Of the newest mapping."""
    snapshot = Pointer.load(follower.bucket)
    assert snapshot is not None
    version = snapshot.branches["master"].tables[MAPPING.path].version
    return DeltaTables(follower.bucket, "master", app=APP, epoch=0).files(MAPPING.path, version)
