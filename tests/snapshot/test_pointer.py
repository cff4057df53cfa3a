"""`snapshot.json`: one run owns it, and readers see what the newest owner committed."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvidsync_dagster.errors import ConfigurationError, OwnershipLost, SnapshotDamaged
from dvidsync_dagster.log.checkpoint import Checkpoint, PartitionPosition
from dvidsync_dagster.snapshot.layout import branch_folder, table_folder
from dvidsync_dagster.snapshot.pointer import BranchState, Pin, Pointer, Snapshot, TableState
from dvidsync_dagster.snapshot.store import Bucket
from tests.emulators.emulator import Emulator
from tests.emulators.faults import Faults

REPO = "28841c8277e044a7b187dda03e18da13"


@pytest.fixture
def bucket(place: str) -> Bucket:
    return opened(place)


def opened(place: str) -> Bucket:
    bucket = Bucket.at(place, patience=timedelta(seconds=20))
    bucket.seconds_between_writes = 0.0  # Google's emulator takes any number
    return bucket


def at(snapshot: Snapshot, key_ns: int) -> Snapshot:
    """The snapshot with a checkpoint at a key."""
    return snapshot.model_copy(update={"checkpoint": Checkpoint(epoch=snapshot.epoch, key_ns=key_ns)})


def key_of(snapshot: Snapshot | None) -> int:
    assert snapshot is not None
    assert snapshot.checkpoint is not None
    return snapshot.checkpoint.key_ns


def test_what_is_committed_is_what_readers_see(bucket: Bucket) -> None:
    assert Pointer.load(bucket) is None
    pointer = Pointer.claimed(bucket, REPO)
    assert pointer.snapshot.epoch == 1
    assert pointer.snapshot.checkpoint is None
    positions = {"dvidrepo-x": {0: PartitionPosition(7, ((9, 11),))}}
    snapshot = Snapshot(
        repo=REPO,
        epoch=1,
        checkpoint=Checkpoint(epoch=3, positions=positions, key_ns=2**62, clean=True),
        branches={
            "master": BranchState(
                uuid="b" * 32,
                committed="a" * 32,
                log_time_ns=2**62,
                tables={"segmentation/mapping": TableState(version=4, rows=10)},
            )
        },
        pins={"a" * 32: Pin(branch="master", log_time_ns=2**62, tables={"segmentation/mapping": 2})},
    )
    pointer.commit(snapshot)
    read = Pointer.load(bucket)
    assert read == pointer.snapshot
    assert read == snapshot.model_copy(update={"owner": pointer.snapshot.owner})


def test_an_older_run_can_no_longer_commit(bucket: Bucket) -> None:
    older = Pointer.claimed(bucket, REPO)
    older.commit(at(older.snapshot, 1))
    newer = Pointer.claimed(bucket, REPO)
    assert newer.snapshot.epoch == older.snapshot.epoch + 1
    assert key_of(newer.snapshot) == 1
    with pytest.raises(OwnershipLost):
        older.commit(at(older.snapshot, 2))
    assert key_of(Pointer.load(bucket)) == 1
    newer.commit(at(newer.snapshot, 3))
    with pytest.raises(OwnershipLost):
        older.commit(at(older.snapshot, 4))
    assert key_of(Pointer.load(bucket)) == 3


def test_of_many_that_claim_at_once_one_can_commit(bucket: Bucket) -> None:
    with ThreadPoolExecutor(4) as pool:
        pointers = list(pool.map(lambda _: Pointer.claimed(bucket, REPO), range(8)))
    assert sorted(pointer.snapshot.epoch for pointer in pointers) == list(range(1, 9))
    committed = []
    for number, pointer in enumerate(pointers):
        try:
            pointer.commit(at(pointer.snapshot, number))
        except OwnershipLost:
            continue
        committed.append((pointer.snapshot.epoch, number))
    assert committed == [(8, key_of(Pointer.load(bucket)))]


def test_a_commit_is_done_once_though_answers_are_lost(store: Emulator) -> None:
    bucket = opened(f"{store.uri}/lost")
    with store.faults(Faults(busy=0.1, lost=0.2)):
        for run in range(1, 5):
            pointer = Pointer.claimed(bucket, REPO)
            assert pointer.snapshot.epoch == run
            for key in range(4):
                pointer.commit(at(pointer.snapshot, 10 * run + key))
                assert key_of(Pointer.load(bucket)) == 10 * run + key


def test_a_commit_keeps_its_owner(tmp_path: Path) -> None:
    bucket = Bucket.at(str(tmp_path))
    pointer = Pointer.claimed(bucket, REPO)
    pointer.commit(Snapshot(repo=REPO, epoch=99, owner="somebody else"))
    assert pointer.snapshot.epoch == 1
    assert Pointer.claimed(bucket, REPO).snapshot.epoch == 2


def test_a_snapshot_of_another_repo_is_not_touched(tmp_path: Path) -> None:
    bucket = Bucket.at(str(tmp_path))
    Pointer.claimed(bucket, REPO)
    with pytest.raises(ConfigurationError, match=f"snapshot of another repo, {REPO}"):
        Pointer.claimed(bucket, "f" * 32)
    assert (there := Pointer.load(bucket))
    assert there.epoch == 1


def content(tmp_path: Path) -> Any:
    return json.loads((tmp_path / "snapshot.json").read_text())


DAMAGE: dict[str, Callable[[Any], object]] = {
    "no JSON": lambda _: b"{",
    "nothing": lambda _: b"",
    "a list": lambda _: [],
    "no format": lambda whole: {name: whole[name] for name in whole if name != "format"},
    "another form of format": lambda whole: whole | {"format": "1"},
    "no repo": lambda whole: {name: whole[name] for name in whole if name != "repo"},
    "an epoch below 0": lambda whole: whole | {"epoch": -1},
    "an epoch that is no number": lambda whole: whole | {"epoch": "1"},
    "a checkpoint of nothing": lambda whole: whole | {"checkpoint": {}},
    "a checkpoint of a newer format": lambda whole: whole | {"checkpoint": {"format": 99}},
    "branches as a list": lambda whole: whole | {"branches": []},
    "a version that no number holds": lambda whole: (
        whole | {"pins": {"a": {"branch": "master", "log_time_ns": 1, "tables": {"x": 2**63}}}}
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_was_damaged_is_told_of_and_left_as_it_is(damage: str, tmp_path: Path) -> None:
    bucket = Bucket.at(str(tmp_path))
    Pointer.claimed(bucket, REPO)
    damaged = DAMAGE[damage](content(tmp_path))
    bucket.write("snapshot.json", damaged if isinstance(damaged, bytes) else json.dumps(damaged).encode())
    before = (tmp_path / "snapshot.json").read_bytes()
    for attempt in (lambda: Pointer.load(bucket), lambda: Pointer.claimed(bucket, REPO)):
        with pytest.raises(SnapshotDamaged, match=r"snapshot\.json: ") as raised:
            attempt()
        assert len(str(raised.value)) < 2000
    assert (tmp_path / "snapshot.json").read_bytes() == before


def test_a_newer_format_asks_for_a_newer_dvidsync(tmp_path: Path) -> None:
    bucket = Bucket.at(str(tmp_path))
    bucket.write("snapshot.json", json.dumps({"format": 2, "all": "new"}).encode())
    with pytest.raises(SnapshotDamaged, match=r"it has format 2, .* reads up to 1\. Update dvidsync\."):
        Pointer.load(bucket)


def test_a_field_that_came_later_does_no_harm(tmp_path: Path) -> None:
    bucket = Bucket.at(str(tmp_path))
    Pointer.claimed(bucket, REPO)
    bucket.write("snapshot.json", json.dumps(content(tmp_path) | {"later": 1}).encode())
    assert Pointer.claimed(bucket, REPO).snapshot.epoch == 2


NAMES = st.text(min_size=1, max_size=12)


@given(st.lists(NAMES, unique=True, max_size=6))
def test_each_branch_has_a_folder_of_its_own(names: list[str]) -> None:
    folders = [branch_folder(name) for name in names]
    assert len(set(folders)) == len(names)
    for folder in folders:
        assert folder.isascii()
        assert not set(folder) & set('/\\%?# :*"<>|')
        assert folder[0] not in "._"
        assert folder.lower() not in ("pins", "releases", "snapshot.json", "readme.md")


@pytest.mark.parametrize("name", ["master", "neu3-v1.2", "branch_7"])
def test_ordinary_names_are_their_own_folders(name: str) -> None:
    assert branch_folder(name) == name
    assert table_folder("master", f"{name}/mapping") == f"master/{name}/mapping"


def test_a_path_cannot_leave_its_branch() -> None:
    assert table_folder("..", "../.././x") == "~2E./~2E./~2E./~2E/x"
