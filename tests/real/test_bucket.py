"""A real server and a real Kafka, people at work, and a folder that holds a snapshot."""

from __future__ import annotations

from pathlib import Path
from random import Random

import httpx
import pytest

from dvid_sandbox.proofreaders import Proofreaders
from dvidsync_dagster.compare.comparison import compare
from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.repair.repairing import repair
from dvidsync_dagster.run.follow import follow
from dvidsync_dagster.snapshot.pointer import BranchState, Pointer
from dvidsync_dagster.snapshot.store import Bucket
from tests.destinations.bucket_scene import Content, comparable, rows
from tests.destinations.damage import damage, opened
from tests.real.harness import Stage, stage
from tests.real.test_follow import ANNOUNCED
from tests.real_kafka import RealKafka

pytestmark = [pytest.mark.dvid, pytest.mark.kafka]


def configured(here: Stage, bucket: Path, chunk: int) -> SyncConfig:
    return SyncConfig.model_validate(
        {
            "source": {"url": here.source.url},
            "repo": here.root,
            "kafka": {"servers": [here.kafka], "topic_prefix": here.topic_prefix},
            "destinations": [{"name": "cloud", "bucket": str(bucket)}],
            "settle_seconds": 0,
            "chunk_records": chunk,
        }
    )


def sync(config: SyncConfig) -> list[str]:
    """One run; what it left out."""
    (destination,) = config.destinations
    reports = list(follow(config, destination, checkpoint=None, epoch=1, still_owner=lambda: None))
    return [f"{row.action}: {row.found}" for report in reports for row in report.conflicts]


def state(bucket: Path) -> BranchState:
    snapshot = Pointer.load(Bucket.at(str(bucket)))
    assert snapshot is not None
    return snapshot.branches["master"]


def newest(bucket: Path) -> str:
    return state(bucket).uuid


def content(bucket: Path) -> Content:
    tables = state(bucket).tables
    return {path: rows(bucket / "master" / path, table.version) for path, table in tables.items()}


def new_version(here: Stage) -> None:
    """So that there is a committed one to begin with."""
    url = f"{here.source.url}/api/node/{here.root}"
    httpx.post(f"{url}/commit", json={"note": "done"}).raise_for_status()
    httpx.post(f"{url}/newversion", json={"note": "next"}).raise_for_status()


@pytest.mark.parametrize("seed", range(3))
def test_it_agrees_with_its_source_and_with_a_fresh_one(
    seed: int, real_kafka: RealKafka, tmp_path: Path
) -> None:
    with stage(tmp_path, kafka=real_kafka.address, synced=True) as here:
        new_version(here)
        bucket = tmp_path / "bucket"
        config = configured(here, bucket, chunk=100 + 50 * seed)
        with Proofreaders(
            here.source.url,
            here.root,
            seed=seed,
            people=3,
            shared=True,
            weights=ANNOUNCED,
            admin_token=here.source.admin_token,
        ) as people:
            for _ in range(4):
                people.work(150)
                assert sync(config) == []
            assert people.unexpected == []
        here.flush()
        assert sync(config) == []
        found = compare(config, config.destinations[0])
        assert found.agree, found.differences
        fresh = tmp_path / "fresh"
        assert sync(configured(here, fresh, chunk=20_000)) == []
        assert comparable(content(bucket)) == comparable(content(fresh))
        with opened(config) as snapshot:
            damage(Random(seed), snapshot, newest(bucket), content(bucket))
        assert not compare(config, config.destinations[0]).agree
        done = repair(config, config.destinations[0], dry_run=False, still_owner=lambda: None)
        assert done.agree, done.after
        assert comparable(content(bucket)) == comparable(content(fresh))
