"""Asset checks that a destination's runs answer.

A check is a function from the end of a run to a result under its own name; a further one is a new entry in
`RUN_CHECKS`. No run plans them: Dagster shows a check that was planned and not answered as failed, also where
the run never got so far. A run logs the answers that it has, and what it cannot answer stays as it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import dagster as dg

from dvidsync_dagster.destinations.protocol import ConflictRow
from dvidsync_dagster.errors import LogGap, LogRecreated
from dvidsync_dagster.log.ahead import NOTHING_AHEAD, AheadOfClock
from dvidsync_dagster.orchestration.followers import Follower
from dvidsync_dagster.orchestration.metadata import SHOWN, conflict_table, quarantine_table
from dvidsync_dagster.outgoing_text import counted, markdown
from dvidsync_dagster.run.lost_messages import told
from dvidsync_dagster.run.report import ChunkReport, Lag, QuarantinedRecord, UnexplainedIds

LAG_ALLOWED_SECONDS = 900.0

_EARLIER = 100
_AS_BEFORE = "As before: this run failed before it could tell. "


@dataclass
class RunEnd:
    """What a run came to: what it left out, how far behind it ended, and what broke the log."""

    chunks: int = 0
    records: int = 0
    operations: int = 0
    lag: Lag | None = None
    reached: int = 0
    """The key (ns since 1970) up to which the destination has followed; 0 if that is not known."""
    lag_told: float = 0.0
    """Our own steady clock (`time.monotonic`) when the lag was told."""
    ahead: AheadOfClock = NOTHING_AHEAD
    conflicts: int = 0
    first_conflicts: list[ConflictRow] = field(default_factory=list)
    changed_conflicts: bool = False
    """Whether the conflict table may be another one than was shown last."""
    quarantined: int = 0
    first_quarantined: list[QuarantinedRecord] = field(default_factory=list)
    log_error: LogGap | LogRecreated | None = None
    open_for_long: tuple[str, ...] = ()
    unexplained: list[UnexplainedIds] = field(default_factory=list)

    def add(self, report: ChunkReport) -> None:
        self.chunks += 1
        self.records += report.records
        self.operations += report.operations
        self.lag = report.lag_after
        self.reached = report.checkpoint.key_ns
        self.lag_told = time.monotonic()
        self.ahead = report.ahead
        self.conflicts += len(report.conflicts)
        self.first_conflicts = [*self.first_conflicts, *report.conflicts[:SHOWN]][:SHOWN]
        self.changed_conflicts |= bool(report.conflicts or report.resolved or report.replaced)
        self.quarantined += len(report.quarantined)
        self.first_quarantined = [*self.first_quarantined, *report.quarantined[:SHOWN]][:SHOWN]
        self.open_for_long = report.open_for_long
        if report.unexplained is not None:
            self.unexplained.append(report.unexplained)


def check_lag(end: RunEnd) -> dg.AssetCheckResult | None:
    """The destination has followed at least until a quarter of an hour ago, and nothing waits for a time
    that will hardly come."""
    if end.lag is not None:
        # By the source's clock: this machine's may be wrong.
        seconds = end.lag.seconds + max(0.0, time.monotonic() - end.lag_told)
    elif end.reached:
        # A run that found no server has only the checkpoint and the clock at hand.
        seconds = max(0.0, time.time() - end.reached / 1e9)
    else:
        return None
    return dg.AssetCheckResult(
        check_name="lag",
        passed=seconds <= LAG_ALLOWED_SECONDS and not end.ahead.far,
        severity=dg.AssetCheckSeverity.WARN,
        description=str(end.ahead) if end.ahead.records else None,
        metadata={"seconds": round(seconds, 3), "ahead_of_clock": end.ahead.records}
        | ({"records": end.lag.records} if end.lag is not None else {}),
    )


def check_log_complete(end: RunEnd) -> dg.AssetCheckResult | None:
    """No record is gone that was never read, no topic was made anew, no message seems to be lost, and what
    was begun came to an end."""
    if end.log_error is None:
        if end.lag is None:
            return None
        found = [*map(told, end.unexplained), *end.open_for_long]
        return dg.AssetCheckResult(
            check_name="log_complete",
            passed=not found,
            severity=dg.AssetCheckSeverity.WARN,
            description="\n\n".join(markdown(each, 2000) for each in found) or None,
            metadata={"unexplained_ids": sum(each.count for each in end.unexplained)},
        )
    return dg.AssetCheckResult(
        check_name="log_complete",
        passed=False,
        description=str(end.log_error),
        metadata={"topic": end.log_error.topic, "partition": end.log_error.partition},
    )


def check_nothing_left_out(end: RunEnd) -> dg.AssetCheckResult | None:
    """No operation was skipped and no record quarantined in this run."""
    if end.lag is None:
        return None
    metadata: dict[str, dg.MetadataValue] = {}
    if end.conflicts:
        metadata["conflicts"] = conflict_table(end.first_conflicts)
    if end.quarantined:
        metadata["quarantined"] = quarantine_table(end.first_quarantined)
    return dg.AssetCheckResult(
        check_name="nothing_left_out",
        passed=not metadata,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{counted(end.conflicts, 'operation')} skipped, "
        f"{counted(end.quarantined, 'record')} quarantined"
        + (" (`dvidsync conflicts list` shows them all)" if end.conflicts else "")
        + (" (`dvidsync quarantine list` shows them all)" if end.quarantined else ""),
        metadata=metadata,
    )


RUN_CHECKS: dict[str, Callable[[RunEnd], dg.AssetCheckResult | None]] = {
    "lag": check_lag,
    "log_complete": check_log_complete,
    "nothing_left_out": check_nothing_left_out,
}


def run_checks(follower: Follower) -> dg.AssetChecksDefinition:
    """What the destination's asset shows. Not of the asset's own step, so no run of that plans them."""

    @dg.multi_asset_check(
        name=f"{follower.job}_checks",
        specs=[
            dg.AssetCheckSpec(name, asset=follower.key, description=(check.__doc__ or "").strip())
            for name, check in RUN_CHECKS.items()
        ],
        # All or none: Dagster offers to run only those that can be run by themselves.
        can_subset=False,
    )
    def answered_by_runs() -> dg.AssetCheckResult:
        raise dg.Failure(
            f"Each run that follows answers these checks. Start the job {follower.job}.", allow_retries=False
        )

    return answered_by_runs


Context = dg.AssetExecutionContext | dg.OpExecutionContext


def log_answers(context: Context, key: dg.AssetKey, end: RunEnd) -> None:
    """Log the answers that this end of a run of an asset allows."""
    for name, check in RUN_CHECKS.items():
        answer = check(end)
        if answer is not None:
            log_evaluation(context, evaluation(key, name, answer))
        else:
            answer_again(context, dg.AssetCheckKey(key, name))


def log_evaluation(context: Context, answer: dg.AssetCheckEvaluation) -> None:
    """Log an answer in the step of a run."""
    context.log_event(answer)  # type: ignore[arg-type]  # the signature does not say that it takes one


def evaluation(key: dg.AssetKey, name: str, answer: dg.AssetCheckResult) -> dg.AssetCheckEvaluation:
    """An answer as an event of Dagster's log."""
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=name,
        passed=answer.passed,
        severity=answer.severity,
        description=answer.description,
        metadata=answer.metadata or {},
    )


def answer_again(context: Context, key: dg.AssetCheckKey) -> None:
    """Log what was known before, for a check that this run has planned nevertheless, as a backfill does."""
    history = context.instance.event_log_storage.get_asset_check_execution_history(key, limit=_EARLIER)
    if not history or history[0].run_id != context.run.run_id:
        return
    known = [each.evaluation for each in history if isinstance(each.evaluation, dg.AssetCheckEvaluation)]
    if not known:
        unknown = "Not known yet: this run failed before it could tell."
        answer = dg.AssetCheckResult(check_name=key.name, passed=True, description=unknown)
        log_evaluation(context, evaluation(key.asset_key, key.name, answer))
        return
    before = known[0]
    log_evaluation(
        context,
        dg.AssetCheckEvaluation(
            asset_key=key.asset_key,
            check_name=key.name,
            passed=before.passed,
            severity=before.severity,
            description=_AS_BEFORE + (before.description or "").removeprefix(_AS_BEFORE),
            metadata=before.metadata,
            # Without it Dagster tells by times, in whole seconds, which materialization the answer is about.
            target_materialization_data=before.target_materialization_data,
        ),
    )
