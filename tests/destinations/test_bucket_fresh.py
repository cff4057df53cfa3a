"""However the log is cut while people work: the tables hold what a snapshot holds that is made afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dvid_sandbox.proofreaders import WEIGHTS
from tests.destinations.bucket_scene import SourceAndBucket, comparable, source_and_bucket


@pytest.fixture
def here(tmp_path: Path) -> Iterator[SourceAndBucket]:
    with source_and_bucket(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("seed", range(3))
def test_increments_come_to_what_a_fresh_snapshot_holds(here: SourceAndBucket, seed: int) -> None:
    """The first snapshot is made while people work, too."""
    with here.crowd(seed, people=4) as crowd, ThreadPoolExecutor(1) as pool:
        for _ in range(4):
            working = pool.submit(crowd.work, 60)
            # What is so old is in all topics.
            reports = here.sync(settle_seconds=3)
            assert not any(report.conflicts for report in reports)
            working.result()
    here.source.restart()
    here.sync()
    open_head = here.folder / "open"
    here.sync(open_head)
    assert comparable(here.content()) == comparable(here.content(open_head))
    newest = here.commit_newest()
    here.sync()
    committed = here.folder / "committed"
    here.sync(committed)
    assert here.pointer(committed).branches["master"].base == newest
    assert comparable(here.content(version=newest)) == comparable(here.content(committed, version=newest))


def test_an_open_root_is_read_until_nobody_changes_bodies_meanwhile(tmp_path: Path) -> None:
    with source_and_bucket(tmp_path, is_open=True) as here:
        told = ""
        only_bodies = {kind: 0.0 for kind in WEIGHTS if kind in ("commit", "branch", "tag")}
        with here.crowd(1, people=4, **only_bodies) as crowd, ThreadPoolExecutor(1) as pool:
            while "read once more" not in told:
                working = pool.submit(crowd.work, 150)
                told += "".join(note for report in here.sync() for note in report.notes)
                working.result()
                assert here.pointer().checkpoint is None
        here.source.restart()
        for _ in range(3):
            here.sync()
        assert here.pointer().checkpoint is not None
        root = here.commit_newest()
        here.sync()
        committed = here.folder / "committed"
        here.sync(committed)
        assert comparable(here.content(version=root)) == comparable(here.content(committed, version=root))
