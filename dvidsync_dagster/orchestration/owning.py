"""Claiming a destination for work that is no run of its asset."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg

from dvidsync_dagster.orchestration.checkpoints import CheckpointStore
from dvidsync_dagster.orchestration.followers import Follower


def claimed(context: dg.OpExecutionContext, follower: Follower) -> Callable[[], None]:
    """Claim the destination as a run does: who still writes there stops, and the next run looks at what it
    finds.

    Returns:
        What asks whether it is still ours: it raises OwnershipLost.
    """
    store = CheckpointStore(context.instance, follower.key)
    claim = store.claim(context.log_event)
    return lambda: store.check_owner(claim)
