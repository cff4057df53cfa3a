"""Practice branches in Dagster: a job in the destination's pool, a schedule, a sensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dvidsync_dagster.errors import ConfigurationError
from dvidsync_dagster.orchestration.build import build_definitions
from dvidsync_dagster.orchestration.comparing import COPIES_AGREE
from dvidsync_dagster.orchestration.followers import destination_follower
from dvidsync_dagster.orchestration.names import comparison_key
from dvidsync_dagster.orchestration.practice_job import PRACTICE_OP
from dvidsync_dagster.orchestration.score_job import SCORE_OP
from dvidsync_dagster.practice.branches import list_branches
from tests.stage import INSTANCE, Stage, stage
from tests.two_servers import Editor


class Practice:
    """A stage's destination where people practise."""

    def __init__(self, instance: dg.DagsterInstance, servers: Stage, **practice: Any) -> None:
        self.instance = instance
        fields = servers.fields()
        fields["destinations"][0]["practice"] = practice
        self.config = servers.config(**fields)
        self.definitions = build_definitions(self.config)
        self.follower = destination_follower(self.config, self.config.destinations[0])
        self.source = Editor(servers.source, servers.root)

    def run(self, job: str, *, op: str = PRACTICE_OP, **settings: Any) -> dg.ExecuteInProcessResult:
        ops = {op: {"config": settings}} if settings else {}
        return self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance, run_config={"ops": ops} if ops else {}, raise_on_error=False
        )

    def follow(self) -> None:
        definition = self.definitions.resolve_sensor_def(f"{self.follower.job}_sensor")
        request = self._tick(definition)
        assert isinstance(request, dg.RunRequest), request
        job = self.definitions.resolve_job_def(self.follower.job)
        assert job.execute_in_process(instance=self.instance, tags=request.tags).success

    def sensor(self) -> dg.RunRequest | str:
        return self._tick(self.definitions.resolve_sensor_def(f"{self.follower.practice_job}_sensor"))

    def _tick(self, definition: dg.SensorDefinition) -> dg.RunRequest | str:
        context = dg.build_sensor_context(
            instance=self.instance, repository_def=self.definitions.get_repository_def()
        )
        data = definition.evaluate_tick(context)
        return data.run_requests[0] if data.run_requests else str(data.skip_message)

    def names(self) -> list[str]:
        return [branch.name for branch in list_branches(self.config, self.config.servers[0])]


def _metadata(done: dg.ExecuteInProcessResult) -> list[Mapping[str, dg.MetadataValue]]:
    """What the steps of a run show."""
    return [
        event.step_output_data.metadata
        for event in done.all_events
        if event.is_successful_output and event.step_output_data.metadata
    ]


def test_the_job_makes_a_branch_and_a_commit_asks_for_it(
    instance: dg.DagsterInstance, servers: Stage
) -> None:
    here = Practice(instance, servers, renew="on commit")
    servers.merge_next()
    failed = here.run(here.follower.practice_job)
    assert not failed.success
    assert "No committed version has arrived" in str(here.sensor())
    here.source.commit()
    child = here.source.new_version(servers.root)
    here.follow()
    assert isinstance(here.sensor(), dg.RunRequest)
    made = here.run(here.follower.practice_job)
    assert made.success
    (metadata,) = _metadata(made)
    (name,) = here.names()
    assert metadata["dvidsync/branch"].value == name
    assert metadata["dvidsync/from"].value == servers.root
    assert "No committed version has arrived" in str(here.sensor())
    named = here.run(here.follower.practice_job, from_version=servers.root)
    assert named.success
    assert here.names() == [name, f"{name}-2"]
    # Runs that follow are not disturbed by what is the destination's own, and a comparison shows it.
    servers.root, root = child, servers.root
    try:
        servers.merge_next()
    finally:
        servers.root = root
    here.follow()
    verify = here.run(f"verify_{here.config.repo_name}_copy")
    (answer,) = [each for each in verify.get_asset_check_evaluations() if each.check_name == COPIES_AGREE]
    assert answer.passed, answer.description
    assert answer.description is not None
    assert "2 versions of practice" in answer.description
    event = instance.get_latest_materialization_event(comparison_key(here.follower.key))
    assert event is not None
    assert event.asset_materialization is not None
    own = event.asset_materialization.metadata["dvidsync/own"].value
    assert isinstance(own, dict)
    assert [each["branch"] for each in own["practice"]] == here.names()


@pytest.fixture
def fresh_servers(tmp_path: Path) -> Iterator[Stage]:
    """For a test that begins before anything was committed."""
    with stage(tmp_path) as servers:
        yield servers


def test_a_score_sheet_is_a_table_of_its_run(instance: dg.DagsterInstance, fresh_servers: Stage) -> None:
    here = Practice(instance, fresh_servers)
    job = here.follower.score_job
    assert not here.run(job).success
    here.source.merge(1, 2)
    here.source.commit()
    here.source.new_version(fresh_servers.root)
    here.follow()
    assert here.run(here.follower.practice_job).success
    (branch,) = list_branches(here.config, here.config.servers[0])
    destination = Editor(fresh_servers.destination, fresh_servers.root)
    destination.post(f"{INSTANCE}/merge", [30, 31], version=branch.last.uuid, u="amy")
    done = here.run(job)
    assert done.success
    (metadata,) = _metadata(done)
    assert metadata["dvidsync/branch"].value == branch.name
    table = metadata["dvidsync/users_table"]
    assert isinstance(table, dg.TableMetadataValue)
    assert [(row.data["user"], row.data["merges"], row.data["merges_no"]) for row in table.records] == [
        ("amy", 1, 1)
    ]
    decisions = metadata["dvidsync/decisions_table"]
    assert isinstance(decisions, dg.TableMetadataValue)
    assert decisions.records[0].data == {
        "instance": INSTANCE,
        "side": "practice",
        "user": "amy",
        "kind": "merge",
        "body": "30",
        "other": "31",
        "supervoxels": 1,
        "agreed": "no",
    }
    assert not here.run(job, op=SCORE_OP, branch="practice-2001").success


def test_no_branch_is_made_while_a_run_is_under_way(instance: dg.DagsterInstance, servers: Stage) -> None:
    here = Practice(instance, servers, renew="on commit")
    job = here.definitions.resolve_job_def(here.follower.job)
    run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert run.run_id in str(here.sensor())


def test_the_sensor_tells_of_an_outage_and_does_not_fail(
    instance: dg.DagsterInstance, servers: Stage
) -> None:
    here = Practice(instance, servers, renew="on commit")
    servers.source.stop()
    try:
        skipped = here.sensor()
    finally:
        servers.source.restart()
    assert str(skipped).startswith("Outage: ")


@pytest.mark.parametrize(("renew", "cron"), [("weekly", "0 5 * * 1"), ("15 6 1 * *", "15 6 1 * *")])
def test_the_clock_asks_for_a_fresh_branch(servers: Stage, renew: str, cron: str) -> None:
    fields = servers.fields()
    fields["destinations"][0]["practice"] = {"renew": renew}
    definitions = build_definitions(servers.config(**fields))
    follower = destination_follower(servers.config(), servers.config().destinations[0])
    schedule = definitions.resolve_schedule_def(f"{follower.practice_job}_schedule")
    assert schedule.cron_schedule == cron


def test_a_wrong_cron_line_is_refused_with_its_field(servers: Stage) -> None:
    fields = servers.fields()
    fields["destinations"][0]["practice"] = {"renew": "99 5 * * 1"}
    with pytest.raises(ConfigurationError, match=r"destinations\[copy\]\.practice\.renew"):
        build_definitions(servers.config(**fields))


def test_where_nobody_practises_there_is_no_such_job(servers: Stage) -> None:
    definitions = build_definitions(servers.config())
    names = [job.name for job in definitions.get_repository_def().get_all_jobs()]
    assert not [name for name in names if name.startswith(("practice_", "score_"))]
