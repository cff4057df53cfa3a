"""Records that come when their version is committed at the destination.

Either the source's administrator changed it after its commit, or the record belongs before the commit and
came late: its partition had no leader for a while, say. With the destination's admin token both can be
applied.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import Enum

from dvidsync_dagster.datatypes.labelmap.events import BodyEvent
from dvidsync_dagster.datatypes.place import Placed, is_after_commit, is_late
from dvidsync_dagster.datatypes.versions import Commit, NewVersion
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.repo import RepoInfo
from dvidsync_dagster.errors import RefusalReason
from dvidsync_dagster.plan.outcome import Outcome, Refusal


class Timing(Enum):
    """When a change came; the text is for people."""

    USUAL = ""
    AFTER_COMMIT = "The source's administrator changed this version after its commit"
    LATE = "It came later than the commit of its version, which is applied"


def timing(members: Sequence[Placed], repo: RepoInfo, reached: int) -> Timing:
    """When the members of a step came.

    Args:
        repo: the source's.
        reached: up to which key (ns since 1970) everything had been applied that was read before.
    """
    if any(isinstance(member, NewVersion | Commit) for member in members):
        return Timing.USUAL
    if all(is_after_commit(member, repo) for member in members):
        return Timing.AFTER_COMMIT
    if any(is_late(member, repo, reached) for member in members):
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


def changed_since(event: BodyEvent, here: Labelmap, info: RepoInfo) -> str | None:
    """Why a late change of bodies cannot be made at the destination (its `info`) anymore; None if it can.

    A version has bodies of its own as soon as it changes them: what its ancestor gets later does not reach
    them.
    """
    before = [here.last_mod(event.version, label) for label in event.bodies]
    for version in _descendants(event.version, info):
        for label, last in zip(event.bodies, before, strict=True):
            if here.last_mod(version, label) != last:
                return (
                    f"it came later than the commit of its version, and version {version} has changed body "
                    f"{label} since; compare with `dvidsync verify`, mend with `dvidsync repair`"
                )
    return None


def _descendants(version: str, info: RepoInfo) -> Iterator[str]:
    return (uuid for uuid in info.versions if uuid != version and version in info.ancestors(uuid))
