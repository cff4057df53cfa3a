"""What a neuronjson instance announces in Kafka, as events.

See docs/dvid.md, "Neurons". A message is no proof: it comes before the write, which can be refused, and a
delete has none. So whatever the source has of the record is copied, and a record that it does not have is
deleted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dvidsync_dagster.datatypes.copied import DataEvent
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.events.message import MAX_LABEL, Message

SCHEMAS = ("schema", "schema_batch")
"""Keys that are no bodies: schemas can be posted the same way."""

_ACTIONS = ("postneuronjson", "ingestneuronjson")


@dataclass(frozen=True, slots=True, kw_only=True)
class PostNeuron(DataEvent):
    """`key` is a body, or whatever else somebody tried to post."""

    typename: ClassVar[str] = "neuronjson"

    name: ClassVar[str] = "postneuronjson"

    key: str

    @property
    def body(self) -> int | None:
        """None if no record can have this key."""
        return body_of(self.key)


def body_of(key: str) -> int | None:
    """The body that a key names; None if no record can have this key."""
    body = int(key) if key.isascii() and key.isdigit() and len(key) < 100 else 0
    return body if 0 < body <= MAX_LABEL else None


def decode(message: Message, instance: Instance) -> PostNeuron | None:
    """The event in a message; None if its action is unknown.

    Raises:
        UndecodableRecord: a known action with a field that is missing or wrong.
    """
    if message.action not in _ACTIONS:
        return None
    return PostNeuron(
        origin=message.origin, instance=instance.name, version=message.version, key=message.text("Key")
    )
