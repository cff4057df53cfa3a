"""What events of elements touch."""

from __future__ import annotations

from dvidsync_dagster.datatypes.annotation.commands import Place
from dvidsync_dagster.datatypes.annotation.events import (
    DeleteElement,
    ElementEvent,
    MoveElement,
    PostBlocks,
    PostElements,
)


def place_of(event: ElementEvent) -> Place:
    """What an event touches."""
    match event:
        case DeleteElement():
            return Place(event.user, (event.at,))
        case MoveElement():
            return Place(event.user, (event.start, event.end), arrival=event.end)
        case PostElements():
            return Place(event.user, blob=event.data_ref)
        case PostBlocks():
            return Place(event.user, blob=event.data_ref, whole_blocks=True)
    raise TypeError(f"no event of elements: {event!r}")
