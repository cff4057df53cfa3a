"""A destination's runs in Dagster, from a sandbox server through the embedded broker to its copy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import pytest

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.orchestration import metadata as meta
from dvidsync_dagster.orchestration.build import build_definitions
from dvidsync_dagster.orchestration.checkpoints import CheckpointStore
from dvidsync_dagster.orchestration.followers import destination_follower
from dvidsync_dagster.orchestration.names import kafka_key
from dvidsync_dagster.orchestration.partitions import Windows, range_tags
from dvidsync_dagster.orchestration.ticks import next_run_tags
from tests.stage import Stage


class Runs:
    """Runs of a stage's one destination in one Dagster instance."""

    def __init__(self, instance: dg.DagsterInstance, config: SyncConfig) -> None:
        self.instance = instance
        self.config = config
        self.follower = destination_follower(config, config.destinations[0])
        self.key = self.follower.key
        self.job = build_definitions(config).resolve_job_def(self.follower.job)

    def run(self, tags: Mapping[str, str], **more: Any) -> dg.ExecuteInProcessResult:
        return self.job.execute_in_process(instance=self.instance, tags=tags, raise_on_error=False, **more)

    def follow(self, **more: Any) -> dg.ExecuteInProcessResult:
        return self.run(next_run_tags(self.instance, self.follower), **more)

    def checkpoint(self) -> Checkpoint | None:
        return CheckpointStore(self.instance, self.key).latest()


@pytest.fixture
def runs(instance: dg.DagsterInstance, servers: Stage) -> Runs:
    return Runs(instance, servers.config())


def materialized(result: dg.ExecuteInProcessResult) -> list[str]:
    events = result.get_asset_materialization_events()
    return [str(event.partition) for event in events]


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [event for event in result.all_events if event.is_step_failure]
    error = event.step_failure_data.error
    assert error is not None
    return str(error.cause.message if error.cause else error.message)


def checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {check.check_name: check.passed for check in result.get_asset_check_evaluations()}


def metadata(result: dg.ExecuteInProcessResult) -> Sequence[Mapping[str, dg.MetadataValue]]:
    return [event.materialization.metadata for event in result.get_asset_materialization_events()]


def test_a_run_follows_and_tells(runs: Runs, servers: Stage) -> None:
    servers.merge_next()
    result = runs.follow()
    assert result.success
    servers.assert_same()
    assert checks(result) == {"lag": True, "log_complete": True, "nothing_left_out": True}
    last = metadata(result)[-1]
    assert meta.number(last, meta.OPERATIONS) > 0
    assert meta.number(last, meta.LAG_RECORDS_BEFORE) >= meta.number(last, meta.RECORDS) > 0
    assert meta.number(last, meta.LAG_RECORDS) == 0
    assert meta.number(last, meta.EPOCH) == 1
    assert last[meta.ROW_COUNT].value == last[meta.RECORDS].value
    checkpoint = runs.checkpoint()
    assert checkpoint is not None
    assert checkpoint.clean
    assert checkpoint.epoch == 1
    observed = [event for event in result.all_events if event.event_type_value == "ASSET_OBSERVATION"]
    assert kafka_key(runs.config) in [event.asset_key for event in observed]


def test_every_planned_window_is_materialized(runs: Runs) -> None:
    assert runs.follow().success
    windows = Windows.of(runs.config)
    hours = windows.definition.get_partition_keys()[-30:]
    result = runs.run({**range_tags(hours[0], hours[-1])})
    assert result.success
    assert set(hours) <= set(materialized(result))


def test_an_empty_tick_leaves_a_materialization(runs: Runs) -> None:
    assert runs.follow().success
    first = runs.checkpoint()
    result = runs.follow()
    assert result.success
    (told, *_) = metadata(result)
    assert told[meta.RECORDS].value == 0
    second = runs.checkpoint()
    assert first is not None
    assert second is not None
    assert second.epoch == first.epoch + 1
    assert second.key_ns >= first.key_ns
    assert second.positions == first.positions


def test_a_backfill_of_old_windows_does_not_move_the_checkpoint(runs: Runs, servers: Stage) -> None:
    servers.merge_next()
    assert runs.follow().success
    before = runs.checkpoint()
    result = runs.run(range_tags("2026-01-01-00:00", "2026-01-01-02:00"))
    assert result.success
    assert materialized(result) == ["2026-01-01-00:00", "2026-01-01-01:00", "2026-01-01-02:00"]
    assert checks(result) == {"lag": True, "log_complete": True, "nothing_left_out": True}
    after = runs.checkpoint()
    assert before is not None
    assert after is not None
    assert (after.positions, after.key_ns) == (before.positions, before.key_ns)
    servers.merge_next()
    assert runs.follow().success
    servers.assert_same()


def test_a_single_window_from_the_ui(runs: Runs, servers: Stage) -> None:
    servers.merge_next()
    current = Windows.of(runs.config).current()
    result = runs.run({"dagster/partition": current}, partition_key=current)
    assert result.success
    assert materialized(result)[-1] == current
    servers.assert_same()


def test_after_a_wipe_a_run_starts_anew_and_changes_nothing(runs: Runs, servers: Stage) -> None:
    servers.merge_next()
    assert runs.follow().success
    before = servers.bodies(servers.destination)
    runs.instance.wipe_assets([runs.key])
    assert runs.checkpoint() is None
    assert runs.follow().success
    assert servers.bodies(servers.destination) == before
    checkpoint = runs.checkpoint()
    assert checkpoint is not None
    assert checkpoint.epoch == 1


def test_a_run_without_windows_is_refused(runs: Runs) -> None:
    result = runs.run({})
    assert not result.success
    assert "launched without windows" in failure(result)


def test_a_run_without_checkpoint_and_start_explains_the_choice(
    instance: dg.DagsterInstance, servers: Stage
) -> None:
    fields = servers.fields()
    del fields["destinations"][0]["start"]
    runs = Runs(instance, SyncConfig.model_validate(fields))
    result = runs.follow()
    assert not result.success
    assert "destinations[copy].start: is unset and there is no checkpoint yet" in failure(result)


def test_a_process_that_outlived_its_run_stops_at_its_next_look(runs: Runs, servers: Stage) -> None:
    """Another run claims the destination as soon as this one says where it begins."""
    servers.merge_next()
    run_id = "11111111-1111-1111-1111-111111111111"
    store = CheckpointStore(runs.instance, runs.key)
    taken_over = []

    def take_over(entry: dg.EventLogEntry) -> None:
        if entry.user_message.endswith("epoch 1"):
            taken_over.append(store.claim(runs.instance.report_runless_asset_event))

    runs.instance.add_event_listener(run_id, take_over)
    result = runs.follow(run_id=run_id)
    assert not result.success
    assert "(epoch 2) has taken over from this one (epoch 1)" in failure(result)
    assert len(taken_over) == 1
    assert materialized(result) == []
    assert runs.checkpoint() is None
    assert runs.follow().success
    servers.assert_same()


def test_the_pool_of_a_destination_holds_one_run(runs: Runs) -> None:
    storage = runs.instance.event_log_storage
    pool = runs.follower.pool
    assert [node.pools for node in runs.job.graph.node_defs] == [{pool}]
    assert runs.follow().success
    assert storage.get_concurrency_info(pool).slot_count == 1


def test_a_gap_in_the_log_fails_its_check(runs: Runs, servers: Stage) -> None:
    """A broker that was restarted in memory: its topics are shorter than the checkpoint says."""
    assert runs.follow().success
    checkpoint = runs.checkpoint()
    assert checkpoint is not None
    servers.broker.kill()
    with type(servers.broker).start(servers.broker.port) as fresh:
        servers.broker = fresh
        result = runs.follow()
    assert not result.success
    assert "LogRecreated" in failure(result)
    logged = [entry.asset_check_evaluation for entry in runs.instance.all_logs(result.run_id)]
    answers = {each.check_name: each.passed for each in logged if each is not None}
    assert answers == {"lag": True, "log_complete": False}
    assert runs.checkpoint() is not None
