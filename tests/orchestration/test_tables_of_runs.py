"""The tables of a bucket in Dagster's catalog, from runs on a sandbox server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.orchestration.build import build_definitions
from dvidsync_dagster.orchestration.compare_once import job_once, verify_once
from dvidsync_dagster.orchestration.followers import Follower, destination_follower
from dvidsync_dagster.orchestration.maintenance_job import MAINTENANCE_OP
from dvidsync_dagster.orchestration.once import run_once
from dvidsync_dagster.orchestration.table_assets import known_tables
from dvidsync_dagster.snapshot.points import POINTS
from tests.destinations.bucket_scene import KEYS, SourceAndBucket, source_and_bucket


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[SourceAndBucket]:
    with source_and_bucket(tmp_path / "scene") as scene:
        yield scene


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """That of DAGSTER_HOME."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with dg.DagsterInstance.get() as instance:
        yield instance


def follower(config: SyncConfig) -> Follower:
    return destination_follower(config, config.destinations[0])


def follow(instance: dg.DagsterInstance, scene: SourceAndBucket, **changed: Any) -> list[str]:
    """One run; what it said."""
    said: list[str] = []
    run_once(instance, follower(scene.config(changed=changed)), None, said.append)
    return said


def told(instance: dg.DagsterInstance, scene: SourceAndBucket) -> dict[str, int]:
    """Delta's version of each table that is in the snapshot, as Dagster knows it."""
    tables = known_tables(instance, follower(scene.config()).key)
    return {table.path: table.version for table in tables if table.is_in_snapshot}


def held(scene: SourceAndBucket) -> dict[str, int]:
    """The same as snapshot.json says."""
    tables = scene.pointer().branches["master"].tables
    return {path: table.version for path, table in tables.items() if path != POINTS.path}


def metadata(instance: dg.DagsterInstance, scene: SourceAndBucket, *table: str) -> Mapping[str, Any]:
    key = dg.AssetKey([*follower(scene.config()).key.path, *table])
    event = instance.get_latest_materialization_event(key)
    assert event is not None
    assert event.asset_materialization is not None
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def defined(scene: SourceAndBucket) -> set[str]:
    """The tables that are assets when the code location loads now."""
    graph = build_definitions(scene.config()).resolve_asset_graph()
    keys = [key for key in graph.external_asset_keys if "table" in graph.get(key).kinds]
    return {str(graph.get(key).metadata["dvidsync/table"].value) for key in keys}


def test_dagster_knows_each_table_as_the_snapshot_has_it(
    instance: dg.DagsterInstance, scene: SourceAndBucket
) -> None:
    assert defined(scene) == set()
    said = follow(instance, scene)
    assert told(instance, scene) == held(scene)
    assert any("New in Dagster's catalog" in line and KEYS in line for line in said)
    scene.put_key("second", "2")
    said = follow(instance, scene)
    assert told(instance, scene) == held(scene)
    assert not any("New in Dagster's catalog" in line for line in said)
    keys = metadata(instance, scene, KEYS)
    assert keys["dagster/row_count"] == 2
    assert keys["dvidsync/rows_written"] == 1
    assert keys["dvidsync/rows_deleted"] == 0
    assert keys["dvidsync/branch_version"] == scene.head
    assert "second" in keys["dvidsync/preview"]
    sizes = [file.stat().st_size for file in (scene.bucket / "master" / KEYS).glob("*.parquet")]
    assert keys["dagster/size_bytes"] == sum(sizes)
    assert keys["dvidsync/bytes_written"] in sizes


def test_the_definitions_need_neither_bucket_nor_source(
    instance: dg.DagsterInstance, scene: SourceAndBucket
) -> None:
    follow(instance, scene)
    tables = set(held(scene))
    scene.source.stop()
    scene.empty()
    assert defined(scene) == tables


def test_an_instance_that_comes_later_is_told_and_then_defined(
    instance: dg.DagsterInstance, scene: SourceAndBucket
) -> None:
    follow(instance, scene)
    scene.new_instance("a new: one", "keyvalue")
    said = follow(instance, scene)
    assert "a new: one" in told(instance, scene)
    assert any("a new: one" in line for line in said)
    assert "a new: one" in defined(scene)
    assert metadata(instance, scene, "a~20new~3A~20one")["dvidsync/table"] == "a new: one"


def test_a_table_that_the_snapshot_has_no_more_is_no_asset(
    instance: dg.DagsterInstance, scene: SourceAndBucket
) -> None:
    follow(instance, scene)
    follow(instance, scene, own=[KEYS])
    assert KEYS not in told(instance, scene)
    assert KEYS not in defined(scene)
    assert metadata(instance, scene, KEYS)["dvidsync/in_snapshot"] is False
    follow(instance, scene, own=[KEYS])
    assert told(instance, scene) == held(scene)


def test_another_dagster_instance_is_told_of_a_snapshot_that_it_finds(
    instance: dg.DagsterInstance, scene: SourceAndBucket
) -> None:
    scene.sync()
    follow(instance, scene)
    assert told(instance, scene) == held(scene)
    keys = metadata(instance, scene, KEYS)
    assert keys["dagster/row_count"] == 1
    assert "first" in keys["dvidsync/preview"]
    assert "dvidsync/rows_written" not in keys


def test_maintenance_is_told(instance: dg.DagsterInstance, scene: SourceAndBucket) -> None:
    for number in range(3):
        scene.put_key(f"key{number}", "1")
        follow(instance, scene)
    before = held(scene)
    here = follower(scene.config())
    job_once(instance, here, here.job.replace("follow_", "maintain_"), {}, MAINTENANCE_OP, lambda _: None)
    assert held(scene)[KEYS] > before[KEYS]
    assert told(instance, scene) == held(scene)


def test_a_bucket_that_is_compared_agrees(instance: dg.DagsterInstance, scene: SourceAndBucket) -> None:
    follow(instance, scene)
    scene.put_key("second", "2")
    found = verify_once(instance, follower(scene.config()), lambda _: None)
    assert found.agree
    assert told(instance, scene) == held(scene)
