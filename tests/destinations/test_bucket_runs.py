"""A server and a bucket follow one source side by side, each by its own asset in Dagster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import httpx
import pytest

from dvidsync_dagster import snapshot
from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.orchestration.build import build_definitions
from dvidsync_dagster.orchestration.checkpoints import CheckpointStore
from dvidsync_dagster.orchestration.followers import destination_follower
from dvidsync_dagster.orchestration.ticks import next_run_tags
from tests.stage import INSTANCE, Stage


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    home = tmp_path / "home"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as opened:
        yield opened


def with_bucket(stage: Stage, bucket: Path) -> SyncConfig:
    fields = stage.fields()
    fields["destinations"].append({"name": "cloud", "bucket": str(bucket)})
    return SyncConfig.model_validate(fields)


def new_version(stage: Stage) -> str:
    """Commit the root and go on in a child."""
    url = f"{stage.source.url}/api/node/{stage.root}"
    httpx.post(f"{url}/commit", json={"note": "done"}).raise_for_status()
    return str(httpx.post(f"{url}/newversion", json={"note": "next"}).raise_for_status().json()["child"])


def merge(stage: Stage, version: str, *bodies: int) -> None:
    url = f"{stage.source.url}/api/node/{version}/{INSTANCE}/merge?u=amy&app=test"
    httpx.post(url, json=bodies).raise_for_status()


def mapping(bucket: Path) -> dict[int, int]:
    held = snapshot.open(str(bucket))[f"{INSTANCE}/mapping"]
    return dict(zip(held["sv"], held["body"], strict=True))


def run(instance: dg.DagsterInstance, config: SyncConfig, name: str) -> dg.ExecuteInProcessResult:
    follower = destination_follower(config, config.destination(name))
    job = build_definitions(config).resolve_job_def(follower.job)
    return job.execute_in_process(instance=instance, tags=next_run_tags(instance, follower))


def test_both_follow(stage: Stage, instance: dg.DagsterInstance, tmp_path: Path) -> None:
    bucket = tmp_path / "bucket"
    config = with_bucket(stage, bucket)
    child = new_version(stage)
    merge(stage, child, 1, 2)
    results = {name: run(instance, config, name) for name in ("copy", "cloud")}
    assert all(result.success for result in results.values())
    assert mapping(bucket) == {**{body: body for body in range(1, 65)}, 2: 1}
    held = snapshot.open(str(bucket))
    assert held.uuid == child
    checkpoints = {
        name: CheckpointStore(instance, destination_follower(config, config.destination(name)).key).latest()
        for name in results
    }
    assert held.checkpoint is not None
    assert checkpoints["cloud"] is not None
    assert checkpoints["cloud"].positions == held.checkpoint.positions
    checks = {check.check_name: check.passed for check in results["cloud"].get_asset_check_evaluations()}
    assert checks == {"lag": True, "log_complete": True, "nothing_left_out": True}
    key = dg.AssetKey([config.repo_name, "cloud", INSTANCE, "mapping"])
    shown = instance.get_latest_materialization_event(key)
    assert shown is not None
    assert shown.asset_materialization is not None
    assert shown.asset_materialization.metadata["dagster/row_count"].value == 64
    merge(stage, child, 3, 4)
    assert run(instance, config, "cloud").success
    assert mapping(bucket)[4] == 3
