"""A run that fails: what it shows of its cause, and of checks that it could not answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import pytest
from dagster import AssetCheckKey, DagsterRunStatus

from dvidsync_dagster.orchestration.build import build_definitions
from dvidsync_dagster.orchestration.failing import CAUSE_TAG
from dvidsync_dagster.orchestration.followers import Follower, destination_follower
from dvidsync_dagster.orchestration.ticks import next_run_tags
from tests.stage import Stage

CHECKS = ("lag", "log_complete", "nothing_left_out")


@contextmanager
def down(servers: Stage) -> Iterator[None]:
    servers.destination.stop()
    try:
        yield
    finally:
        servers.destination.restart()


def follower(servers: Stage) -> Follower:
    config = servers.config()
    return destination_follower(config, config.destinations[0])


def execute(
    instance: dg.DagsterInstance, one: Follower, *, with_checks: bool = False
) -> dg.ExecuteInProcessResult:
    """A run of the follower's job, or, as a backfill does it, of the asset with all of its checks."""
    definitions = build_definitions(one.config)
    job = definitions.resolve_job_def(one.job)
    if with_checks:
        job = definitions.resolve_implicit_global_asset_job_def().get_subset(asset_selection={one.key})
    return job.execute_in_process(instance=instance, tags=next_run_tags(instance, one), raise_on_error=False)


def shown(instance: dg.DagsterInstance, one: Follower) -> dict[str, str]:
    """What Dagster has of each check last. A planned check of a run that failed shows as failed."""
    found = {}
    for name in CHECKS:
        history = instance.event_log_storage.get_asset_check_execution_history(
            AssetCheckKey(one.key, name), limit=1
        )
        found[name] = history[0].status.value if history else "none"
    return found


def told(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [event for event in result.all_events if event.is_step_failure]
    failure = event.step_failure_data.user_failure_data
    assert failure is not None
    return failure.description or ""


def test_an_outage_fails_no_check_and_tells_its_cause(
    servers: Stage, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = follower(servers)
    servers.merge_next()
    assert execute(instance, one).success
    before = dict.fromkeys(CHECKS, "SUCCEEDED")
    assert shown(instance, one) == before
    with down(servers):
        result = execute(instance, one)
        assert not result.success
        assert shown(instance, one) == before
        monkeypatch.setattr("dvidsync_dagster.orchestration.checks.LAG_ALLOWED_SECONDS", 0.0)
        assert not execute(instance, one, with_checks=True).success
        # Also planned ones; and that the destination falls behind is known without it.
        assert shown(instance, one) == {**before, "lag": "FAILED"}
    description = told(result)
    assert description.startswith("Outage.")
    assert f"Cause: GET {servers.destination.url}/api/server/info" in description
    assert "What to do: Nothing is lost" in description
    assert "configuration is wrong" not in description
    (run,) = instance.get_runs(dg.RunsFilter(tags={CAUSE_TAG: "outage"}, run_ids=[result.run_id]))
    assert run.status == DagsterRunStatus.FAILURE
    assert execute(instance, one).success


def test_a_wrong_configuration_names_the_field_and_the_remedy(
    servers: Stage, instance: dg.DagsterInstance
) -> None:
    config = servers.config(branches=["nowhere"])
    one = destination_follower(config, config.destinations[0])
    result = execute(instance, one)
    description = told(result)
    assert description.startswith("The configuration is wrong.")
    assert "Cause: branches[0]: the repo has no branch 'nowhere'." in description
    assert "What to do: It has master;" in description
    assert shown(instance, one) == dict.fromkeys(CHECKS, "none")
