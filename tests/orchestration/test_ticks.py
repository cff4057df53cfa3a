"""Ticks of the schedule and the sensor."""

from __future__ import annotations

import dagster as dg
import pytest

from dvidsync_dagster.orchestration.build import build_definitions
from dvidsync_dagster.orchestration.followers import destination_follower
from dvidsync_dagster.orchestration.names import log_key
from dvidsync_dagster.orchestration.partitions import FOLLOW, RANGE_END, RANGE_START, Windows
from tests.stage import Stage


class Ticks:
    """The schedule and the sensor of a stage's one destination."""

    def __init__(self, instance: dg.DagsterInstance, servers: Stage) -> None:
        self.instance = instance
        self.config = servers.config(archive="not used")
        self.definitions = build_definitions(self.config)
        self.follower = destination_follower(self.config, self.config.destinations[0])
        self.name = self.follower.job
        self.job = self.definitions.resolve_job_def(self.name)

    def schedule(self) -> dg.RunRequest | str:
        context = dg.build_schedule_context(
            instance=self.instance, repository_def=self.definitions.get_repository_def()
        )
        data = self.definitions.resolve_schedule_def(f"{self.name}_schedule").evaluate_tick(context)
        return data.run_requests[0] if data.run_requests else str(data.skip_message)

    def sensor(self) -> dg.RunRequest | str:
        context = dg.build_sensor_context(
            instance=self.instance, repository_def=self.definitions.get_repository_def()
        )
        data = self.definitions.resolve_sensor_def(f"{self.name}_sensor").evaluate_tick(context)
        return data.run_requests[0] if data.run_requests else str(data.skip_message)


@pytest.fixture
def ticks(instance: dg.DagsterInstance, servers: Stage) -> Ticks:
    return Ticks(instance, servers)


def test_a_tick_asks_for_one_run_up_to_the_current_window(ticks: Ticks) -> None:
    request = ticks.schedule()
    assert isinstance(request, dg.RunRequest)
    current = Windows.of(ticks.config).current()
    assert request.tags[RANGE_START] <= request.tags[RANGE_END] == current
    assert request.tags[FOLLOW] == "true"
    storage = ticks.instance.event_log_storage
    assert storage.get_concurrency_info(ticks.follower.pool).slot_count == 1


def test_the_sensor_asks_for_a_run_only_if_there_is_something_to_do(ticks: Ticks, servers: Stage) -> None:
    servers.merge_next()
    request = ticks.sensor()
    assert isinstance(request, dg.RunRequest)
    assert ticks.job.execute_in_process(instance=ticks.instance, tags=request.tags).success
    skipped = ticks.sensor()
    assert isinstance(skipped, str)
    assert skipped.startswith("Nothing to do: all ")
    servers.merge_next()
    assert isinstance(ticks.sensor(), dg.RunRequest)


def test_the_sensor_tells_of_an_outage_and_does_not_fail(ticks: Ticks, servers: Stage) -> None:
    servers.source.stop()
    try:
        skipped = ticks.sensor()
    finally:
        servers.source.restart()
    assert isinstance(skipped, str)
    assert skipped.startswith("Outage: ")
    assert servers.source.url in skipped


def test_no_run_is_added_while_one_is_under_way(ticks: Ticks) -> None:
    run = ticks.instance.create_run_for_job(ticks.job, status=dg.DagsterRunStatus.STARTED)
    assert_busy(ticks, run)


def test_no_run_is_added_while_somebody_materializes_windows(ticks: Ticks) -> None:
    whole = ticks.definitions.get_repository_def().get_implicit_global_asset_job_def()
    other = ticks.instance.create_run_for_job(
        whole, status=dg.DagsterRunStatus.STARTED, asset_selection=frozenset({log_key(ticks.config)})
    )
    assert isinstance(ticks.schedule(), dg.RunRequest)
    ticks.instance.report_run_failed(other)
    run = ticks.instance.create_run_for_job(
        whole, status=dg.DagsterRunStatus.STARTED, asset_selection=frozenset({ticks.follower.key})
    )
    assert_busy(ticks, run)


def assert_busy(ticks: Ticks, run: dg.DagsterRun) -> None:
    for reason in (ticks.schedule(), ticks.sensor()):
        assert isinstance(reason, str)
        assert f"Run {run.run_id} is started" in reason
    ticks.instance.report_run_failed(run)
    assert isinstance(ticks.schedule(), dg.RunRequest)
