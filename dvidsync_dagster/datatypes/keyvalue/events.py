"""What a keyvalue instance announces in Kafka, as events. The messages hold no values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dvidsync_dagster.datatypes.copied import DataEvent
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.events.message import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEvent(DataEvent):
    """What all have in common."""

    typename: ClassVar[str] = "keyvalue"

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PostKey(KeyEvent):
    """`size` is the length of the value in bytes."""

    name: ClassVar[str] = "postkv"

    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteKey(KeyEvent):
    name: ClassVar[str] = "delete"


def decode(message: Message, instance: Instance) -> KeyEvent | None:
    """The event in a message; None if its action is unknown.

    Raises:
        UndecodableRecord: a known action with a field that is missing or wrong.
    """
    if message.action == "postkv":
        return PostKey(
            origin=message.origin,
            instance=instance.name,
            version=message.version,
            key=_key(message),
            size=message.count("Bytes", 0),
        )
    if message.action == "delete":
        return DeleteKey(
            origin=message.origin, instance=instance.name, version=message.version, key=_key(message)
        )
    return None


def _key(message: Message) -> str:
    key = message.text("Key")
    if not key:
        raise message.wrong("field 'Key' is empty")
    return key
