"""One comparison or repair in this process, in the same Dagster instance as the scheduled ones."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg

from dvidsync_dagster.compare.comparison import compare
from dvidsync_dagster.differences.findings import Comparison
from dvidsync_dagster.differences.work import Repair
from dvidsync_dagster.errors import DvidSyncError
from dvidsync_dagster.log.quarantine import TopicPartitionOffset
from dvidsync_dagster.orchestration.abandoned import held
from dvidsync_dagster.orchestration.build import build_definitions
from dvidsync_dagster.orchestration.catching_up import CatchingUp
from dvidsync_dagster.orchestration.checks import evaluation
from dvidsync_dagster.orchestration.comparing import COPIES_AGREE, remembered, shown
from dvidsync_dagster.orchestration.failing import own_errors
from dvidsync_dagster.orchestration.followers import Follower
from dvidsync_dagster.orchestration.once import QUIET, Busy, run_once
from dvidsync_dagster.orchestration.pools import limit_to_one
from dvidsync_dagster.orchestration.practice_job import PRACTICE_OP
from dvidsync_dagster.orchestration.quarantine_job import QUARANTINE_OP
from dvidsync_dagster.orchestration.repair_job import REPAIR_OP
from dvidsync_dagster.orchestration.ticks import run_under_way
from dvidsync_dagster.practice.branches import MadeBranch
from dvidsync_dagster.run.retry import Retried

Say = Callable[[str], None]

_LOOK_SECONDS = 1.0


def verify_once(
    instance: dg.DagsterInstance,
    follower: Follower,
    say: Say,
    *,
    everything: bool = False,
    versions: Collection[str] = (),
    lower_scales: bool = False,
    catch_up: bool = True,
) -> Comparison:
    """Compare a destination with its source; the result also shows as its comparison in the UI.

    Args:
        say: gets a line per version.
        everything: also what is committed and agreed before.
        versions: UUIDs, or their first letters: only these.
        lower_scales: labelmaps at lower resolutions too.
        catch_up: let the destination follow to now first, and where something is pending.

    Raises:
        DvidSyncError: a server or the broker does not answer, or a version is not there.
    """
    reached = _catching_up(instance, follower, say, may_follow=catch_up)
    found = compare(
        follower.config,
        follower.config.destination(follower.name),
        agreed=remembered(instance, follower, everything=everything),
        versions=versions,
        lower_scales=lower_scales,
        reached=reached,
        say=say,
    )
    found = replace(found, notes=(*reached.notes, *found.notes))
    materialization, answer = shown(instance, follower, found)
    instance.report_runless_asset_event(materialization)
    instance.report_runless_asset_event(evaluation(materialization.asset_key, COPIES_AGREE, answer))
    return found


def _catching_up(
    instance: dg.DagsterInstance, follower: Follower, say: Say, *, may_follow: bool
) -> CatchingUp:
    """By a run of the destination's job, in this process. A run that is under way is waited for."""

    def follow() -> None:
        told = False
        while (busy := run_under_way(instance, follower)) is not None:
            if not told:
                say(f"{busy.skip_message} Waiting for it.")
            told = True
            time.sleep(_LOOK_SECONDS)
        run_once(instance, follower, None, say)

    return CatchingUp(instance, follower, follow if may_follow else None)


def repair_once(
    instance: dg.DagsterInstance,
    follower: Follower,
    say: Say,
    *,
    dry_run: bool,
    version: str | None = None,
) -> Repair:
    """Run the job that repairs a destination once.

    Args:
        version: UUID, or its first letters: only this one.

    Raises:
        Busy: a run is under way there.
        DvidSyncError: what the repair raised.
    """
    settings = {"dry_run": dry_run} | ({} if version is None else {"version": version})
    done = job_once(
        instance, follower, follower.repair_job, {REPAIR_OP: {"config": settings}}, REPAIR_OP, say
    )
    if not isinstance(done, Repair):
        raise DvidSyncError(f"{follower.title}: the repair gave no result.")
    return done


def retry_once(
    instance: dg.DagsterInstance, follower: Follower, places: Sequence[TopicPartitionOffset], say: Say
) -> Retried:
    """Run the job that tries records of a destination's quarantine again once; all if none is named.

    Raises:
        Busy: a run is under way there.
        DvidSyncError: what the job raised.
    """
    settings = {"action": "retry", "records": [str(place) for place in places]}
    done = job_once(
        instance,
        follower,
        follower.quarantine_job,
        {QUARANTINE_OP: {"config": settings}},
        QUARANTINE_OP,
        say,
    )
    if not isinstance(done, Retried):
        raise DvidSyncError(f"{follower.title}: the retry gave no result.")
    return done


def practice_once(
    instance: dg.DagsterInstance, follower: Follower, say: Say, *, from_version: str | None = None
) -> MadeBranch:
    """Run the job that makes a practice branch once.

    Raises:
        Busy: a run is under way there.
        DvidSyncError: what the job raised.
    """
    settings = {} if from_version is None else {"from_version": from_version}
    done = job_once(
        instance, follower, follower.practice_job, {PRACTICE_OP: {"config": settings}}, PRACTICE_OP, say
    )
    if not isinstance(done, MadeBranch):
        raise DvidSyncError(f"{follower.title}: no branch was made.")
    return done


def job_once(
    instance: dg.DagsterInstance, follower: Follower, name: str, ops: dict[str, Any], result_of: str, say: Say
) -> object:
    """Run a job that changes a destination once, and give the result of one of its steps.

    Raises:
        Busy: a run is under way there.
        DvidSyncError: what the job raised.
    """
    busy = run_under_way(instance, follower)
    if busy is not None:
        raise Busy(
            f"{busy.skip_message} Wait for it. If its process is dead, terminate it in Dagster's list of "
            "runs."
        )
    limit_to_one(instance, follower.pool)
    job = build_definitions(follower.config, tables={}).resolve_job_def(name)
    run_id = str(uuid.uuid4())
    instance.add_event_listener(
        run_id, lambda entry: None if entry.dagster_event else say(entry.user_message)
    )
    with held(instance, run_id), own_errors():
        result = job.execute_in_process(instance=instance, run_id=run_id, run_config={**QUIET, "ops": ops})
    return result.output_for_node(result_of)
