"""What is behind is kept, however much it is, and found again."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.errors import LogError
from dvidsync_dagster.log.agreed import last_agreed, remember_agreed
from dvidsync_dagster.log.checkpoint import Behind, Checkpoint
from dvidsync_dagster.log.kept_behind import MOST_IN_CHECKPOINT, KeptBehind

MANY = MOST_IN_CHECKPOINT + 1


@pytest.fixture
def config(tmp_path: Path) -> SyncConfig:
    return SyncConfig.model_validate(
        {
            "source": {"url": "http://source:8000"},
            "repo": "a" * 32,
            "destinations": [{"name": "copy", "url": "http://copy:8000"}],
            "quarantine": str(tmp_path / "quarantine"),
        }
    )


def rows(count: int) -> list[Behind]:
    return [
        Behind("segmentation", "v", str(label), 7, 100 + label, f"record {label}") for label in range(count)
    ]


def kept(kept_behind: KeptBehind, behind: list[Behind]) -> Checkpoint:
    fresh, file = kept_behind.keep(behind)
    assert len(fresh) <= MOST_IN_CHECKPOINT
    return Checkpoint(epoch=1, behind=fresh, behind_in=file)


def test_little_stays_in_the_checkpoint(config: SyncConfig, tmp_path: Path) -> None:
    this = KeptBehind(config, "copy")
    assert not this.met(Checkpoint(epoch=1))
    checkpoint = kept(this, rows(MOST_IN_CHECKPOINT))
    assert (len(checkpoint.behind), checkpoint.behind_in) == (MOST_IN_CHECKPOINT, "")
    assert not (tmp_path / "quarantine").exists()


def test_what_is_too_much_goes_to_a_file(config: SyncConfig, tmp_path: Path) -> None:
    this = KeptBehind(config, "copy")
    this.met(Checkpoint(epoch=1))
    checkpoints = []
    for count in range(10, 5 * MANY, 70):
        checkpoints.append(kept(this, rows(count)))
        later = KeptBehind(config, "copy")
        assert set(later.met(checkpoints[-1])) == set(rows(count))
        assert kept(later, rows(count)).behind == checkpoints[-1].behind
    assert len(list((tmp_path / "quarantine").rglob("*.behind"))) == 2
    # A checkpoint that was set back: what was left out later was left out all the same.
    assert set(KeptBehind(config, "copy").met(checkpoints[4])) >= set(rows(10 + 4 * 70))


def test_what_is_resolved_goes_with_the_next_file(config: SyncConfig) -> None:
    this = KeptBehind(config, "copy")
    this.met(Checkpoint(epoch=1))
    kept(this, rows(MANY))
    checkpoint = kept(this, rows(3 * MANY)[MANY:])
    checkpoint = kept(this, rows(5 * MANY)[3 * MANY :])
    assert set(KeptBehind(config, "copy").met(checkpoint)) == set(rows(5 * MANY)[MANY:])


def test_a_file_that_is_gone_ends_the_run(config: SyncConfig, tmp_path: Path) -> None:
    this = KeptBehind(config, "copy")
    this.met(Checkpoint(epoch=1))
    checkpoint = kept(this, rows(MANY))
    shutil.rmtree(tmp_path / "quarantine")
    with pytest.raises(LogError, match="is gone"):
        KeptBehind(config, "copy").met(checkpoint)
    assert KeptBehind(config, "copy").met(replace(checkpoint, behind_in="")) == ()


def test_the_last_time_that_both_agreed_is_kept(config: SyncConfig) -> None:
    assert last_agreed(config, "copy") == 0
    for clock in (5, 1_795_411_076_000_000_001, 1_795_411_077_000_000_002, 6):
        remember_agreed(config, "copy", clock)
    assert last_agreed(config, "copy") == 1_795_411_077_000_000_002
    assert last_agreed(config, "other") == 0
