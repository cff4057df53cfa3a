"""A checkpoint that says that its run ended in order can have been set back since."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dvidsync_dagster.datatypes.labelmap.messages import BodyMutation
from dvidsync_dagster.datatypes.registry import Mutation
from dvidsync_dagster.destinations.server import DvidDestination

_PROBES = 12


def was_overtaken(
    target: DvidDestination,
    mutations: Iterable[Mutation],
    applied: tuple[int, int],
    say: Callable[[str], None],
) -> bool:
    """Whether the destination has operations past the checkpoint; then it has come to rest.

    Args:
        mutations: what comes after the checkpoint; a few of them are tried.
        applied: era and mutation id of the last operation that the checkpoint calls applied.
        say: says something once per run.
    """
    first = [mutation for mutation in mutations if isinstance(mutation, BodyMutation)][:_PROBES]
    if not target.has_any(first, applied):
        return False
    say("the destination already has operations past the checkpoint: looking before applying anything")
    target.come_to_rest()
    return True
