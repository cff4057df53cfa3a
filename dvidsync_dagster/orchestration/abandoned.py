"""Runs of the command line whose process was killed.

Dagster watches the runs that it launches itself. A killed ``dvidsync run`` would stay "started" for ever and
keep its destination's pool. So it holds a lock on a file while it lives; who gets that lock knows that it is
dead. Runs of other machines are left alone: their files are not here.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg


@contextmanager
def held(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Hold the lock of a run that executes in this process.

    Ctrl-C can come before Dagster would mark the run as ended. Then the file stays, so that the next run
    knows that nobody works on this one.
    """
    path = _lock_file(instance, run_id)
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            run = instance.get_run_by_id(run_id)
            if run is None or run.is_finished:
                path.unlink(missing_ok=True)


def fail_abandoned(instance: dg.DagsterInstance, runs: Sequence[dg.DagsterRun]) -> list[dg.DagsterRun]:
    """Mark those runs as failed whose process is gone, and free their pools. Returns the others."""
    alive = []
    for run in runs:
        if not is_abandoned(instance, run):
            alive.append(run)
            continue
        instance.report_run_failed(run, "The process of this run is gone: it was killed.")
        if instance.event_log_storage.supports_global_concurrency_limits:
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        _lock_file(instance, run.run_id).unlink(missing_ok=True)
    return alive


def is_abandoned(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether it is a run of the command line, on this machine, whose process is gone. Changes nothing."""
    try:
        with _lock_file(instance, run.run_id).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except OSError:
        return False


def _lock_file(instance: dg.DagsterInstance, run_id: str) -> Path:
    return Path(instance.root_directory) / "dvidsync" / f"{run_id}.lock"
