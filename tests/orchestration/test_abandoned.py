"""A run of the command line whose process is gone holds up no later one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import dagster as dg
import pytest

from dvidsync_dagster.orchestration.abandoned import fail_abandoned, held, is_abandoned


@dg.job
def follow() -> None:
    """Does nothing."""


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def status(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


def test_ctrl_c_before_dagster_has_begun(instance: dg.DagsterInstance) -> None:
    run = instance.create_run_for_job(follow, status=dg.DagsterRunStatus.NOT_STARTED)
    with suppress(KeyboardInterrupt), held(instance, run.run_id):
        assert not is_abandoned(instance, run)
        raise KeyboardInterrupt
    assert fail_abandoned(instance, [run]) == []
    assert status(instance, run) is dg.DagsterRunStatus.FAILURE


def test_a_run_that_has_ended_leaves_no_file(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    run = instance.create_run_for_job(follow, status=dg.DagsterRunStatus.STARTED)
    with held(instance, run.run_id):
        instance.report_run_failed(run)
    assert list(tmp_path.glob("dvidsync/*")) == []


def test_a_run_of_another_machine_is_left_alone(instance: dg.DagsterInstance) -> None:
    run = instance.create_run_for_job(follow, status=dg.DagsterRunStatus.STARTED)
    assert fail_abandoned(instance, [run]) == [run]
    assert status(instance, run) is dg.DagsterRunStatus.STARTED
