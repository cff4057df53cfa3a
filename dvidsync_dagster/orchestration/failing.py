"""A run that fails says why, and what to do, where Dagster shows it first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from dvidsync_dagster.errors import DvidSyncError
from dvidsync_dagster.run.causes import cause_of, found_and_remedy

CAUSE_TAG = "dvidsync/cause"
"""A tag of the run: Dagster's list of runs can be filtered by it."""


@contextmanager
def failures_told(
    context: dg.OpExecutionContext | dg.AssetExecutionContext | dg.AssetCheckExecutionContext,
) -> Iterator[None]:
    """Fail the run with the cause and the remedy as its description.

    Raises:
        Failure: in place of a DvidSyncError, which is its cause.
    """
    try:
        yield
    except DvidSyncError as error:
        cause = cause_of(error)
        found, remedy = found_and_remedy(error)
        context.instance.add_run_tags(context.run.run_id, {CAUSE_TAG: cause.name})
        raise dg.Failure(f"{cause.title}.\n\nCause: {found}\n\nWhat to do: {remedy}") from error


@contextmanager
def own_errors() -> Iterator[None]:
    """For a job that runs in this process: raise what `failures_told` has wrapped."""
    try:
        yield
    except dg.Failure as failure:
        if isinstance(failure.__cause__, DvidSyncError):
            raise failure.__cause__ from None
        raise
