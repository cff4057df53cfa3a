"""Asset checks that a destination's run answers itself.

A check is a function from the end of a run to a result under its own name; a further one is a new entry in
`RUN_CHECKS`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import dagster as dg

from dvidsync_dagster.errors import LogGap, LogRecreated
from dvidsync_dagster.orchestration.metadata import conflict_table, quarantine_table
from dvidsync_dagster.outgoing_text import markdown
from dvidsync_dagster.report import ChunkReport, ConflictRow, Lag, QuarantinedRecord

LAG_ALLOWED_SECONDS = 900.0


@dataclass
class RunEnd:
    """What a run came to: what it left out, how far behind it ended, and what broke the log."""

    chunks: int = 0
    lag: Lag | None = None
    reached: int = 0
    """The key (ns since 1970) up to which the destination has followed."""
    conflicts: list[ConflictRow] = field(default_factory=list)
    quarantined: list[QuarantinedRecord] = field(default_factory=list)
    log_error: LogGap | LogRecreated | None = None
    open_for_long: tuple[str, ...] = ()

    def add(self, report: ChunkReport) -> None:
        self.chunks += 1
        self.lag = report.lag_after
        self.reached = report.checkpoint.key
        self.conflicts += report.conflicts
        self.quarantined += report.quarantined
        self.open_for_long = report.open_for_long


def check_lag(end: RunEnd) -> dg.AssetCheckResult | None:
    """The destination has followed at least until a quarter of an hour ago."""
    if end.lag is None:
        return None
    # By the checkpoint: a run that reads old windows again is far behind only in them.
    seconds = max(0.0, time.time() - end.reached / 1e9)
    return dg.AssetCheckResult(
        check_name="lag",
        passed=seconds <= LAG_ALLOWED_SECONDS,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"seconds": round(seconds, 3)},
    )


def check_log_complete(end: RunEnd) -> dg.AssetCheckResult | None:
    """No record is gone that was never read, no topic was made anew, and what was begun came to an end."""
    if end.log_error is None:
        if end.lag is None:
            return None
        return dg.AssetCheckResult(
            check_name="log_complete",
            passed=not end.open_for_long,
            severity=dg.AssetCheckSeverity.WARN,
            description="\n\n".join(map(markdown, end.open_for_long)) or None,
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
        metadata["conflicts"] = conflict_table(end.conflicts)
    if end.quarantined:
        metadata["quarantined"] = quarantine_table(end.quarantined)
    return dg.AssetCheckResult(
        check_name="nothing_left_out",
        passed=not metadata,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{len(end.conflicts)} operations skipped, {len(end.quarantined)} records quarantined",
        metadata=metadata,
    )


RUN_CHECKS: dict[str, Callable[[RunEnd], dg.AssetCheckResult | None]] = {
    "lag": check_lag,
    "log_complete": check_log_complete,
    "nothing_left_out": check_nothing_left_out,
}


def check_specs(asset_key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """What the destination's asset declares."""
    return [
        dg.AssetCheckSpec(name, asset=asset_key, description=(check.__doc__ or "").strip())
        for name, check in RUN_CHECKS.items()
    ]


def check_results(end: RunEnd) -> Iterator[dg.AssetCheckResult]:
    """The answers that this end of a run allows."""
    for check in RUN_CHECKS.values():
        result = check(end)
        if result is not None:
            yield result
