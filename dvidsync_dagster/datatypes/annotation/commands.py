"""What is asked of an annotation instance at a DVID server."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from dvidsync_dagster.datatypes.annotation.events import (
    DeleteElement,
    ElementEvent,
    MoveElement,
    PostBlocks,
    PostElements,
)
from dvidsync_dagster.datatypes.commands import Command
from dvidsync_dagster.dvid.annotation import Point


@dataclass(frozen=True, slots=True)
class ElementPlace:
    """Where elements are to be brought to the source's state.

    Args:
        user: in whose name.
        points: positions.
        blob: of the source, which names further positions, or with `whole_blocks` blocks that were replaced.
        arrival: the position that an element was moved to.
        since: when the change was that is repeated (ns since 1970).
    """

    user: str = ""
    points: tuple[Point, ...] = ()
    blob: str = ""
    whole_blocks: bool = False
    arrival: Point | None = None
    since: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyElements(Command):
    """Bring the elements at some places to the source's state. A place is one part of the command."""

    typename: ClassVar[str] = "annotation"

    places: tuple[ElementPlace, ...]


def place_told(action: str, items: Sequence[str]) -> ElementPlace | None:
    """What an event touches, by what people are told of it; None if that names none."""
    if action in (PostElements.name, PostBlocks.name):
        return ElementPlace(blob=items[0], whole_blocks=action == PostBlocks.name)
    points = tuple(point for item in items if (point := _point(item)) is not None)
    return ElementPlace(points=points) if len(points) == len(items) else None


def place_named(item: str) -> ElementPlace:
    """What is meant by one item of an event: a point, or what was posted as elements."""
    point = _point(item)
    return ElementPlace(blob=item) if point is None else ElementPlace(points=(point,))


def _point(item: str) -> Point | None:
    match = _POINT.fullmatch(item)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


_POINT = re.compile(r"\((-?\d{1,10}), (-?\d{1,10}), (-?\d{1,10})\)", re.ASCII)


def place_of(event: ElementEvent) -> ElementPlace:
    """What an event touches."""
    since = event.origin.key_ns
    match event:
        case DeleteElement():
            return ElementPlace(event.user, (event.at,), since=since)
        case MoveElement():
            return ElementPlace(event.user, (event.start, event.end), arrival=event.end, since=since)
        case PostElements():
            return ElementPlace(event.user, blob=event.data_ref, since=since)
        case PostBlocks():
            return ElementPlace(event.user, blob=event.data_ref, whole_blocks=True, since=since)
    raise TypeError(f"no event of elements: {event!r}")
