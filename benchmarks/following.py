"""Our way: a run to the end of the log."""

from __future__ import annotations

from typing import Any

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.log.checkpoint_json import checkpoint_from_json, checkpoint_json
from tests.one_run import followed


def first_checkpoint(config: dict[str, Any]) -> dict[str, Any]:
    """That of a first run."""
    return checkpoint_json(followed(SyncConfig.model_validate(config))[-1].checkpoint)


def follow_on(config: dict[str, Any], checkpoint: dict[str, Any] | None = None) -> dict[str, float]:
    """A run from a checkpoint, or the first one. It leaves out nothing."""
    known = None if checkpoint is None else checkpoint_from_json(checkpoint)
    reports = followed(SyncConfig.model_validate(config), checkpoint=known, epoch=2 if known else 1)
    assert not any(report.left_something_out or report.unexplained for report in reports)
    assert reports[-1].lag_after.records == 0
    told = {
        "requests": float(sum(report.requests for report in reports)),
        "operations": float(sum(report.operations for report in reports)),
        "records": float(sum(report.records for report in reports)),
    }
    for report in reports:
        for stage, seconds in report.seconds.items():
            told[f"s {stage}"] = told.get(f"s {stage}", 0.0) + seconds
    return told
