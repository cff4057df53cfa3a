"""Records that come when their version is committed at the destination.

Either the source's administrator changed it after its commit, or the record belongs before the commit and
came late: its partition had no leader for a while, say. With the destination's admin token both can be
applied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum

from dvidsync_dagster.datatypes.source_places import is_after_commit, is_late
from dvidsync_dagster.dvid.repo import RepoInfo
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.events.repo import Commit, NewVersion
from dvidsync_dagster.plan.outcome import Outcome, Refusal
from dvidsync_dagster.refusal_reason import RefusalReason


class Timing(Enum):
    """When a change came; the text is for people."""

    USUAL = ""
    AFTER_COMMIT = "The source's administrator changed this version after its commit"
    LATE = "It came later than the commit of its version, which is applied"


def timing(events: Sequence[Event], repo: RepoInfo, reached_ns: int) -> Timing:
    """When the events of a step came.

    Args:
        repo: the source's.
        reached_ns: up to which key (ns since 1970) everything had been applied that was read before.
    """
    if not events or any(isinstance(event, NewVersion | Commit) for event in events):
        return Timing.USUAL
    if all(is_after_commit(event, repo) for event in events):
        return Timing.AFTER_COMMIT
    if any(is_late(event, repo, reached_ns) for event in events):
        return Timing.LATE
    return Timing.USUAL


def explained(outcome: Outcome, came: Timing) -> Outcome:
    """The refusals for want of an admin token, with what to do about them."""

    def explain(refusal: Refusal) -> Refusal:
        if refusal.reason is not RefusalReason.VERSION_COMMITTED:
            return refusal
        remedy = f"{came.value}: name the destination's admin token in `admin_token_env`"
        return replace(refusal, found=f"{refusal.found}. {remedy}")

    return replace(outcome, refusals=tuple(map(explain, outcome.refusals)))
