"""The asset of the archive: the log of a source, kept as Parquet."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from dvidsync_dagster.errors import ConfigurationError
from dvidsync_dagster.log.archive import LogArchive
from dvidsync_dagster.log.topics import data_topic
from dvidsync_dagster.orchestration import metadata as meta
from dvidsync_dagster.orchestration.build import build_definitions
from dvidsync_dagster.orchestration.checkpoints import CheckpointStore
from dvidsync_dagster.orchestration.followers import Follower, followers
from dvidsync_dagster.orchestration.names import kafka_key, log_key
from dvidsync_dagster.orchestration.ticks import next_run_tags
from dvidsync_dagster.run.archiving import archive_log
from tests.stage import Stage


class Archive:
    """A stage whose log is archived."""

    def __init__(self, instance: dg.DagsterInstance, servers: Stage, folder: Path) -> None:
        self.instance = instance
        self.config = servers.config(archive=str(folder))
        self.follower: Follower = followers(self.config)[0]
        self.files = LogArchive(str(folder))
        self.definitions = build_definitions(self.config)

    def run(self) -> dg.ExecuteInProcessResult:
        job = self.definitions.resolve_job_def(self.follower.job)
        return job.execute_in_process(
            instance=self.instance, tags=next_run_tags(self.instance, self.follower), raise_on_error=False
        )


@pytest.fixture
def archive(instance: dg.DagsterInstance, servers: Stage, tmp_path: Path) -> Archive:
    return Archive(instance, servers, tmp_path / "archive")


def test_the_log_is_kept(archive: Archive, servers: Stage) -> None:
    servers.merge_next()
    result = archive.run()
    assert result.success
    kept = archive.files.read(0, (1 << 63) - 1)
    told = result.get_asset_materialization_events()[-1].materialization.metadata
    assert len(kept) == meta.number(told, meta.RECORDS) > 0
    checkpoint = CheckpointStore(archive.instance, archive.follower.key).latest()
    assert checkpoint is not None
    topic = data_topic("", servers.root, servers.data_uuid())
    for partition, position in checkpoint.positions[topic].items():
        assert archive.files.covers(topic, partition, [(0, position.next)])


def test_a_run_goes_on_from_the_last_one(archive: Archive, servers: Stage) -> None:
    assert archive.run().success
    before = archive.files.files()
    assert archive.run().success
    assert archive.files.files() == before
    servers.merge_next()
    assert archive.run().success
    after = archive.files.files()
    assert len(after) == len(before) + 1
    kept = archive.files.read(0, (1 << 63) - 1)
    assert len({record.origin for record in kept}) == len(kept)


def test_a_repo_that_is_not_there(servers: Stage, tmp_path: Path) -> None:
    config = servers.config(repo="0" * 32)
    run = archive_log(config, LogArchive(str(tmp_path)), checkpoint=None, epoch=1, still_owner=lambda: None)
    with pytest.raises(ConfigurationError, match=r"is not at .* \(source\.url\)"):
        next(run)


def test_destinations_stand_behind_the_archive_in_the_graph(archive: Archive) -> None:
    graph = archive.definitions.resolve_asset_graph()
    copy = graph.get(dg.AssetKey([archive.config.repo_name, "copy"]))
    assert copy.parent_keys == {log_key(archive.config)}
    assert graph.get(log_key(archive.config)).parent_keys == {kafka_key(archive.config)}
