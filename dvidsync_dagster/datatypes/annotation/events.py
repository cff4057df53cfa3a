"""What an annotation instance announces in Kafka, as typed events.

What was posted is in the source's blob store. See docs/dvid.md,
"Derived messages of annotations": an instance that is synced to a labelmap also tells there how
its elements changed bodies: consequences, which the destination's own sync brings about.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from dvidsync_dagster.datatypes.copied import DataEvent
from dvidsync_dagster.dvid.annotation import Point, point
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.events.event import Consequence
from dvidsync_dagster.events.message import Message

_DERIVED = ("merge", "cleave", "split", "split-coarse", "mutate-block", "ingest-block")


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementEvent(DataEvent):
    """What all have in common. `synced` are the labelmaps by which the instance sorts its elements."""

    typename: ClassVar[str] = "annotation"

    user: str = ""
    synced: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PostElements(ElementEvent):
    """Elements were added or replaced; the list is in blob `data_ref`."""

    name: ClassVar[str] = "element-post"

    data_ref: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PostBlocks(ElementEvent):
    """Whole blocks were replaced; their elements by block are in blob `data_ref`."""

    name: ClassVar[str] = "blocks-post"

    data_ref: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteElement(ElementEvent):
    name: ClassVar[str] = "element-delete"

    at: Point


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveElement(ElementEvent):
    name: ClassVar[str] = "element-move"

    start: Point
    end: Point


def decode(message: Message, instance: Instance) -> ElementEvent | Consequence | None:
    """The event in a message; None if its action is unknown.

    Raises:
        UndecodableRecord: a known action with a field that is missing or wrong.
    """
    action = message.action
    if action in _DERIVED:
        return Consequence()
    common: dict[str, Any] = {"origin": message.origin, "instance": instance.name, "synced": instance.syncs}
    if action in ("element-post", "blocks-post"):
        event = PostElements if action == "element-post" else PostBlocks
        common |= {"version": message.version, "user": message.text("User", "")}
        return event(**common, data_ref=message.name("DataRef"))
    if action in ("element-delete", "element-move"):
        common |= {"version": message.version, "user": message.text("User", "")}
        if action == "element-delete":
            return DeleteElement(**common, at=_point(message, "Point"))
        return MoveElement(**common, start=_point(message, "From"), end=_point(message, "To"))
    return None


def _point(message: Message, field: str) -> Point:
    try:
        return point(message.fields.get(field))
    except ValueError as error:
        raise message.wrong(f"field {field!r} is {error}") from None
