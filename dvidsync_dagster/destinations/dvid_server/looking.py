"""A checkpoint that says that its run ended in order can have been set back since."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dvidsync_dagster.datatypes.labelmap.events import BodyEvent
from dvidsync_dagster.datatypes.registry import Event
from dvidsync_dagster.destinations.dvid_server.server import DvidDestination

_PROBES = 12


def was_overtaken(
    target: DvidDestination,
    events: Iterable[Event],
    applied: tuple[int, int],
    say: Callable[[str], None],
) -> bool:
    """Whether the destination has operations past the checkpoint; then it has come to rest.

    Args:
        events: what comes after the checkpoint; a few of them are tried.
        applied: era and mutation id of the last operation that the checkpoint calls applied.
        say: says something once per run.
    """
    first = [event for event in events if isinstance(event, BodyEvent)][:_PROBES]
    if not target.has_any(first, applied):
        return False
    say("the destination already has operations past the checkpoint: looking before applying anything")
    target.come_to_rest()
    return True
