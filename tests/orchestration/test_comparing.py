"""Comparisons in Dagster: an asset of their own, which nothing else touches."""

from __future__ import annotations

import asyncio
from typing import Any

import dagster as dg
import pytest
from dagster._core.loader import LoadingContextForTest
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

from dvidsync_dagster.differences.findings import Comparison
from dvidsync_dagster.orchestration.build import build_definitions
from dvidsync_dagster.orchestration.compare_once import repair_once, verify_once
from dvidsync_dagster.orchestration.comparing import (
    AGREED,
    comparison_metadata,
    copies_agree_key,
    remembered,
    shown,
)
from dvidsync_dagster.orchestration.failing import CAUSE_TAG
from dvidsync_dagster.orchestration.followers import destination_follower
from dvidsync_dagster.orchestration.once import run_once
from dvidsync_dagster.orchestration.ticks import known_checkpoint
from tests.orchestration.test_failing import down
from tests.stage import Stage


class Copy:
    """The destination of a stage, in one Dagster instance."""

    def __init__(self, instance: dg.DagsterInstance, servers: Stage) -> None:
        self.instance = instance
        self.follower = destination_follower(servers.config(), servers.config().destinations[0])
        self.key = copies_agree_key(self.follower)

    def follow(self, *windows: str) -> None:
        run_once(self.instance, self.follower, (windows[0], windows[-1]) if windows else None, lambda _: None)

    def verify_job(self, **config: Any) -> dg.ExecuteInProcessResult:
        job = build_definitions(self.follower.config).resolve_job_def(
            f"verify_{self.follower.config.repo_name}_{self.follower.name}"
        )
        (step,) = [node.name for node in job.nodes]
        return job.execute_in_process(
            instance=self.instance, run_config={"ops": {step: {"config": config}}}, raise_on_error=False
        )

    def shown(self) -> bool | None:
        """What Dagster shows as the check's answer on the asset as it is now; None: not evaluated."""
        return asyncio.run(self._shown())

    async def _shown(self) -> bool | None:
        context = LoadingContextForTest(self.instance)
        record = await AssetCheckExecutionRecord.gen(context, self.key)
        if record is None or not await record.targets_latest_materialization(context):
            return None
        return {
            AssetCheckExecutionRecordStatus.SUCCEEDED: True,
            AssetCheckExecutionRecordStatus.FAILED: False,
        }.get(record.status)


@pytest.fixture
def copy(instance: dg.DagsterInstance, servers: Stage) -> Copy:
    return Copy(instance, servers)


def test_runs_that_follow_leave_the_last_comparison_as_it_is(copy: Copy, servers: Stage) -> None:
    servers.merge_next()
    copy.follow()
    assert copy.shown() is None
    assert copy.verify_job().success
    assert copy.shown() is True
    servers.merge_next()
    copy.follow()
    assert copy.shown() is True
    # A backfill reads windows again; each leaves a materialization at the destination.
    copy.follow("2026-01-01-00:00", "2026-01-06-00:00")
    assert copy.shown() is True
    events = copy.instance.fetch_materializations(copy.key.asset_key, limit=10).records
    assert len(events) == 1
    servers.merge(1, 40, server=servers.destination)
    assert not verify_once(copy.instance, copy.follower, lambda _: None).agree
    assert copy.shown() is False
    assert repair_once(copy.instance, copy.follower, lambda _: None, dry_run=False).after is not None
    assert copy.shown() is False, "the destination's counter went ahead"


def test_a_comparison_lets_the_destination_follow_first(copy: Copy, servers: Stage) -> None:
    copy.follow()
    for compare_now in (
        lambda: copy.verify_job(),
        lambda: verify_once(copy.instance, copy.follower, lambda _: None),
    ):
        servers.merge_next()
        before = known_checkpoint(copy.instance, copy.follower)
        compare_now()
        after = known_checkpoint(copy.instance, copy.follower)
        assert before is not None
        assert after is not None
        assert after.key_ns > before.key_ns
        assert after.clean
        servers.assert_same()


def test_a_comparison_that_may_not_write_changes_nothing(copy: Copy, servers: Stage) -> None:
    copy.follow()
    servers.merge_next()
    before = servers.bodies(servers.destination), known_checkpoint(copy.instance, copy.follower)
    found = verify_once(copy.instance, copy.follower, lambda _: None, catch_up=False)
    assert {row.what for row in found.pending} >= {"supervoxels in another body"}
    assert copy.verify_job(catch_up=False).success
    assert (servers.bodies(servers.destination), known_checkpoint(copy.instance, copy.follower)) == before
    copy.follow()


def test_a_comparison_that_fails_is_no_answer(copy: Copy, servers: Stage) -> None:
    copy.follow()
    assert copy.verify_job().success
    answer = copy.shown()
    assert answer is not None
    with down(servers):
        failed = copy.verify_job()
    assert not failed.success
    run = copy.instance.get_run_by_id(failed.run_id)
    assert run is not None
    assert run.tags[CAUSE_TAG] == "outage"
    record = copy.instance.event_log_storage.get_asset_check_execution_history(copy.key, limit=1)[0]
    assert record.status.value == ("SUCCEEDED" if answer else "FAILED")
    assert copy.shown() is answer


def test_chosen_versions_leave_the_rest_as_it_was(copy: Copy, servers: Stage) -> None:
    copy.follow()
    result = copy.verify_job(versions=[servers.root[:10]])
    assert result.success
    event = copy.instance.get_latest_materialization_event(copy.key.asset_key)
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    assert metadata["dvidsync/versions"].value == [servers.root]
    assert remembered(copy.instance, copy.follower, everything=True) == frozenset()
    told = [value for name, value in metadata.items() if name.endswith(("_table", "/notes", "/own"))]
    assert told
    assert all(value.value for value in told)
    wrong = copy.verify_job(versions=["nobody"])
    assert not wrong.success


def test_what_agreed_is_remembered(copy: Copy) -> None:
    agreed = frozenset({"0123456789abcdef", "fedcba9876543210"})
    found = Comparison((), (), 0, (), 1, 1, 0, (), agreed, 0.1)
    materialization, answer = shown(copy.instance, copy.follower, found)
    assert AGREED not in (answer.metadata or {})
    copy.instance.report_runless_asset_event(materialization)
    assert remembered(copy.instance, copy.follower) == agreed
    assert remembered(copy.instance, copy.follower, everything=True) == frozenset()


def test_what_is_empty_is_on_no_page() -> None:
    metadata = comparison_metadata(Comparison((), (), 0, (), 1, 1, 0, (), frozenset(), 0.1), 0)
    assert set(metadata) == {
        f"dvidsync/{name}"
        for name in ("differences", "pending", "items_read", "compared", "agreed_before", "seconds", "agreed")
    }
