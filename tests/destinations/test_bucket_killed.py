"""Whenever runs are killed: readers see a whole snapshot, and the next run ends as if nothing had been."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.destinations.bucket_scene import Content, SourceAndBucket, comparable, source_and_bucket

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[SourceAndBucket]:
    with source_and_bucket(tmp_path) as opened:
        yield opened


def start(here: SourceAndBucket) -> subprocess.Popen[str]:
    """A run as a process of its own, whose caller remembers nothing."""
    command = [sys.executable, "-m", "tests.destinations.bucket_child", json.dumps(here.fields())]
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


@pytest.mark.parametrize("seed", range(3))
def test_killed_runs_leave_nothing_half_done(here: SourceAndBucket, seed: int) -> None:
    """Beside a bucket whose runs are never killed: row by row the same, the edits too."""
    random = Random(seed)
    undisturbed = here.folder / "undisturbed"
    here.sync(undisturbed)
    kills = 0
    with here.crowd(seed) as crowd:
        for _ in range(6):
            before = whole(here)
            crowd.work(40)
            if kill_after(here, random.randint(1, 30)):
                kills += 1
            if before is not None:
                assert whole(here) is not None
    here.source.restart()
    here.sync()
    here.sync(undisturbed)
    assert kills
    assert comparable(here.content(), edits=True) == comparable(here.content(undisturbed), edits=True)
    pins, others = here.pointer().pins, here.pointer(undisturbed).pins
    assert pins.keys() == others.keys()
    for version in pins:
        assert comparable(here.content(version=version)) == comparable(
            here.content(undisturbed, version=version)
        )
