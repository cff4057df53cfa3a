"""Claiming a destination for work that is no run of its asset."""

from __future__ import annotations

import time
from collections.abc import Callable

import dagster as dg

from dvidsync_dagster.orchestration.checkpoints import CheckpointStore
from dvidsync_dagster.orchestration.followers import Follower


def claimed(context: dg.OpExecutionContext, follower: Follower) -> Callable[[], None]:
    """Claim the destination as a run does: who still writes there stops, and the next run looks at what it
    finds."""
    store = CheckpointStore(context.instance, follower.key)
    claim = store.claim(context.log_event)
    return OwnerCheck(lambda: store.check_owner(claim))


class OwnerCheck:
    """Looks at the ownership, but not for each of thousands of small changes: at most once in `SECONDS`."""

    SECONDS = 1.0

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look
        self._looked = float("-inf")

    def __call__(self) -> None:
        if time.monotonic() - self._looked >= self.SECONDS:
            self._look()
            self._looked = time.monotonic()
