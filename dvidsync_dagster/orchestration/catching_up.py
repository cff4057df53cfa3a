"""A destination catches up before it is compared or repaired, and tells how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import dagster as dg

from dvidsync_dagster.errors import DvidSyncError
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.orchestration.assets import FollowerRun
from dvidsync_dagster.orchestration.followers import Follower
from dvidsync_dagster.orchestration.partitions import Windows, follow_windows
from dvidsync_dagster.orchestration.ticks import known_checkpoint
from dvidsync_dagster.run.causes import ANOTHER_RUN, LOGIN, OUTAGE, cause_of


@dataclass
class CatchingUp:
    """Lets a destination follow to now, each time it is called, and gives its checkpoint then.

    Without a checkpoint it never follows: a first run is somebody's decision. What only a person can mend
    (a conflict, a gap in the log) does not end it: the destination stays where it is.

    Args:
        follow: lets it follow; None if that may not be.
        stuck: why it cannot follow, once that is known.
    """

    instance: dg.DagsterInstance
    follower: Follower
    follow: Callable[[], None] | None
    stuck: str | None = field(default=None, init=False)

    def __call__(self) -> Checkpoint | None:
        """Raises DvidSyncError: a server or the broker does not answer, or another run has taken over."""
        checkpoint = known_checkpoint(self.instance, self.follower)
        if checkpoint is None or self.follow is None or self.stuck is not None:
            return checkpoint
        try:
            self.follow()
        except DvidSyncError as error:
            if cause_of(error) in (OUTAGE, LOGIN, ANOTHER_RUN):
                raise
            self.stuck = f"the destination cannot follow the log: {error}"
        return known_checkpoint(self.instance, self.follower)

    @property
    def notes(self) -> tuple[str, ...]:
        return (self.stuck,) if self.stuck is not None else ()


def catching_up_here(
    context: dg.OpExecutionContext | dg.AssetExecutionContext, follower: Follower, *, may_follow: bool
) -> CatchingUp:
    """In the step of a run that holds the destination's pool."""
    windows = Windows.of(follower.config)

    def follow() -> None:
        checkpoint = known_checkpoint(context.instance, follower)
        selected = follow_windows(windows, checkpoint, follower.start_key)
        FollowerRun(context, follower, windows).work(selected, None)

    return CatchingUp(context.instance, follower, follow if may_follow else None)
