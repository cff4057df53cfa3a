"""Whenever runs are killed: readers see a whole snapshot, and the next run ends as if nothing had been."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from dvidsync_dagster.snapshot.points import POINTS
from tests.destinations.bucket_scene import Content, Place, SourceAndBucket, comparable, source_and_bucket

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[SourceAndBucket]:
    with source_and_bucket(tmp_path) as opened:
        yield opened


def start(here: SourceAndBucket, bucket: Place | None = None) -> subprocess.Popen[str]:
    """A run as a process of its own, whose caller remembers nothing."""
    command = [sys.executable, "-m", "tests.destinations.bucket_child", json.dumps(here.fields(bucket))]
    return subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def files(bucket: Path) -> int:
    return sum(1 for each in bucket.rglob("*") if each.is_file()) if bucket.exists() else 0


def kill_after(here: SourceAndBucket, written: int) -> bool:
    """Kill a run with SIGKILL when it has written so many files; False if it ended before."""
    wanted = files(here.bucket) + written
    process = start(here)
    try:
        while process.poll() is None:
            if files(here.bucket) >= wanted:
                process.kill()
                return True
        return False
    finally:
        process.kill()
        printed, _ = process.communicate()
        assert process.returncode in (0, -9), printed


def whole(here: SourceAndBucket) -> Content | None:
    """What readers see; None while the first snapshot is made."""
    if here.is_empty() or here.pointer().checkpoint is None:
        return None
    return here.content()


def assert_same(here: SourceAndBucket, undisturbed: Path, bucket: Place | None = None) -> None:
    """Row by row as in a bucket whose runs were never killed: the edits and the committed versions, too."""
    assert comparable(here.content(bucket), edits=True) == comparable(here.content(undisturbed), edits=True)
    pins, others = here.pointer(bucket).pins, here.pointer(undisturbed).pins
    assert pins.keys() == others.keys()
    for version in pins:
        found, expected = (here.content(each, version=version) for each in (bucket, undisturbed))
        assert comparable(found, edits=True) == comparable(expected, edits=True)


@pytest.mark.parametrize("seed", range(2))
def test_killed_runs_leave_nothing_half_done(here: SourceAndBucket, seed: int) -> None:
    random = Random(seed)
    undisturbed = here.folder / "undisturbed"
    here.sync(undisturbed)
    kills = 0
    while here.is_empty() or not here.pointer().branches:
        # So that both begin with the same version.
        kills += kill_after(here, random.randint(4, 12))
    with here.crowd(seed) as crowd:
        for _ in range(5):
            before = whole(here)
            crowd.work(40)
            kills += kill_after(here, random.randint(1, 30))
            if before is not None:
                assert whole(here) is not None
    here.source.restart()
    here.sync()
    here.sync(undisturbed)
    assert kills
    assert_same(here, undisturbed)


def test_a_first_snapshot_goes_on_with_the_tables_that_are_complete(
    here: SourceAndBucket, caplog: pytest.LogCaptureFixture
) -> None:
    half = 0
    for written in range(4, 60, 8):
        shutil.rmtree(here.bucket, ignore_errors=True)
        if not kill_after(here, written) or not (here.bucket / "snapshot.json").exists():
            continue
        branches = here.pointer().branches
        complete = branches["master"].tables if branches else {}
        if whole(here) is not None:
            break
        caplog.clear()
        with caplog.at_level(logging.INFO, "dvidsync_dagster.destinations.bucket"):
            here.sync()
        lines = [line.split() for line in caplog.messages]
        read = {words[1] for words in lines if words[0] == "reading"}
        assert read == {path for path in here.content() if path != POINTS.path} - complete.keys()
        half += bool(complete)
    assert half


def test_of_runs_at_once_the_newest_goes_on(here: SourceAndBucket) -> None:
    undisturbed = here.folder / "undisturbed"
    here.sync(undisturbed)
    lost = 0
    with here.crowd(7) as crowd:
        for _ in range(4):
            crowd.work(40)
            runs = [start(here) for _ in range(3)]
            ends = [(run.communicate()[0], run.returncode) for run in runs]
            assert any(code == 0 for _, code in ends), ends
            assert all(code == 0 or "OwnershipLost" in printed for printed, code in ends), ends
            lost += sum(code != 0 for _, code in ends)
    here.source.restart()
    here.sync()
    here.sync(undisturbed)
    assert lost
    assert_same(here, undisturbed)
