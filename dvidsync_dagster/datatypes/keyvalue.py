"""keyvalue: values of any bytes by key.

The messages hold no values, so the source is asked for those of the keys that changed; they may be newer by
then, and what made them so comes later in the log.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import ClassVar

from dvidsync_dagster.datatypes.operation import DataEvent, DataType, Operation, is_committed
from dvidsync_dagster.dvid.keyvalue import UNREADABLE, Keyvalue, fits_path
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.events.message import Message
from dvidsync_dagster.plan.outcome import Outcome, Refusal, refusal_of

MAX_KEYS = 500
"""Keys in one request."""

MAX_BYTES = 8 * 2**20
"""Bytes of values in one request. A larger value goes alone."""

_LARGE_AT_A_TIME = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PostKey(DataEvent):
    """`size` is the length of the value in bytes."""

    typename: ClassVar[str] = "keyvalue"
    action: ClassVar[str] = "postkv"

    key: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteKey(DataEvent):
    typename: ClassVar[str] = "keyvalue"
    action: ClassVar[str] = "delete"

    key: str


KeyEvent = PostKey | DeleteKey


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


def operations(events: Sequence[KeyEvent]) -> list[Operation]:
    """Batches of at most `MAX_KEYS` keys and `MAX_BYTES` bytes; all events of a key are in one."""
    by_key: dict[str, list[KeyEvent]] = {}
    for event in events:
        by_key.setdefault(event.key, []).append(event)
    batches: list[list[KeyEvent]] = []
    keys = size = 0
    for own in by_key.values():
        bytes_here = max(event.size if isinstance(event, PostKey) else 0 for event in own)
        if not batches or keys == MAX_KEYS or size + bytes_here > MAX_BYTES:
            batches.append([])
            keys = size = 0
        batches[-1] += own
        keys, size = keys + 1, size + bytes_here
    return [
        Operation(
            typename="keyvalue",
            instance=batch[0].instance,
            version=batch[0].version,
            members=tuple(sorted(batch, key=lambda event: event.origin)),
        )
        for batch in batches
    ]


@dataclass(slots=True)
class KeyvalueWriter:
    """Copies values of one instance from source to destination."""

    source: Keyvalue
    destination: Keyvalue
    _large: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(_LARGE_AT_A_TIME))

    def apply(self, operation: Operation) -> Outcome:
        """Copy the keys of an operation. A posted key that the source no longer has is left to the delete
        that follows in the log; a deleted one that it has again is copied."""
        last: dict[str, tuple[int, KeyEvent]] = {}
        for position, member in enumerate(operation.members):
            assert isinstance(member, PostKey | DeleteKey)
            last[member.key] = (position, member)
        sizes = [member.size for member in operation.members if isinstance(member, PostKey)]
        if len(last) == 1 and max(sizes, default=0) > MAX_BYTES:
            ((key, (position, _)),) = last.items()
            with self._large:
                large = self._copy_large(operation.version, key, position)
                return large or self._copy(operation.version, last)
        return self._copy(operation.version, last)

    def _copy_large(self, version: str, key: str, position: int) -> Outcome | None:
        """Copy a value by way of a file: it is nowhere whole in memory. None if this is another case."""
        if UNREADABLE in key or not fits_path(key):
            return None
        with TemporaryFile() as kept:
            try:
                if not self.source.read_into(version, key, kept):
                    return None
            except RequestRefused as refusal:
                return Outcome(refusals=(Refusal(position, f"source: {refusal}"),))
            try:
                self.destination.write_from(version, key, kept)
            except RequestRefused as refusal:
                if not (is_committed(refusal) and self.destination.holds(version, key, kept)):
                    return Outcome(refusals=(refusal_of(position, refusal),))
        return Outcome()

    def _copy(self, version: str, last: Mapping[str, tuple[int, KeyEvent]]) -> Outcome:
        plain = {key: each for key, each in last.items() if UNREADABLE not in key}
        refusals = self._copy_named(version, plain) if plain else []
        for text in last.keys() - plain.keys():
            refusals += self._copy_written_as(version, text, *last[text])
        return Outcome(refusals=tuple(refusals))

    def _copy_named(self, version: str, last: Mapping[str, tuple[int, KeyEvent]]) -> list[Refusal]:
        try:
            found = _read(self.source, version, list(last))
        except RequestRefused as refusal:
            keys = list(last)
            if len(keys) == 1:
                return [Refusal(last[keys[0]][0], f"source: {refusal}")]
            # One of them can be at fault, such as a key that no request line holds: the others go without it.
            halves = keys[: len(keys) // 2], keys[len(keys) // 2 :]
            return [
                refused
                for half in halves
                for refused in self._copy_named(version, {key: last[key] for key in half})
            ]
        posted = list(found.items())
        refusals = [refusal_of(last[key][0], why) for key, why in self._write(version, posted)]
        for key, (position, member) in last.items():
            if isinstance(member, DeleteKey) and key not in found:
                refusals += self._delete(version, key, position)
        return refusals

    def _copy_written_as(self, version: str, text: str, position: int, member: KeyEvent) -> list[Refusal]:
        """Copy all keys that the message can mean: a byte that is no UTF-8 is a U+FFFD in it."""
        try:
            found, there = (_read_written_as(side, version, text) for side in (self.source, self.destination))
        except RequestRefused as refusal:
            return [Refusal(position, str(refusal))]
        missing = [(key, value) for key, value in found.items() if there.get(key) != value]
        refusals = [refusal_of(position, why) for _, why in self._write(version, missing)]
        if isinstance(member, DeleteKey):
            for key in there.keys() - found.keys():
                refusals += self._delete(version, key, position)
        return refusals

    def _delete(self, version: str, key: str, position: int) -> list[Refusal]:
        try:
            self.destination.delete(version, key)
        except RequestRefused as refusal:
            if not (is_committed(refusal) and not self.destination.exists(version, key)):
                return [refusal_of(position, refusal)]
        return []

    def _write(self, version: str, values: Sequence[tuple[str, bytes]]) -> list[tuple[str, RequestRefused]]:
        """Write; the keys that the destination refused, and why."""
        if len(values) > 1:
            try:
                self.destination.write_many(version, values)
                return []
            except RequestRefused as refusal:
                if is_committed(refusal):
                    return self._differing(version, dict(values), refusal)
        refused = []
        for key, value in values:
            try:
                self.destination.write(version, key, value)
            except RequestRefused as refusal:
                if is_committed(refusal):
                    refused += self._differing(version, {key: value}, refusal)
                else:
                    refused.append((key, refusal))
        return refused

    def _differing(
        self, version: str, values: Mapping[str, bytes], why: RequestRefused
    ) -> list[tuple[str, RequestRefused]]:
        """The keys that a committed version of the destination has otherwise. What it has is there: by an
        earlier run, or since the copy was made."""
        there = _read(self.destination, version, list(values))
        return [(key, why) for key, value in values.items() if there.get(key) != value]


def _read_written_as(server: Keyvalue, version: str, text: str) -> dict[str, bytes]:
    """What a server has of the keys that are written as a text, empty values included."""
    keys = server.written_as(version, text)
    return dict.fromkeys(keys, b"") | server.values(version, keys)


def _read(server: Keyvalue, version: str, keys: Sequence[str]) -> dict[str, bytes]:
    """What a server has of the keys, empty values included."""
    if len(keys) == 1 and "/" not in keys[0]:
        value = server.value(version, keys[0])
        found = {} if value is None else {keys[0]: value}
    else:
        found = server.values(version, keys)
    for key in keys:
        if key not in found and server.exists(version, key):
            found[key] = b""
    return found


def _writer(
    source: Transport,
    destination: Transport,
    name: str,
    instances: Mapping[str, Instance],  # noqa: ARG001
) -> KeyvalueWriter:
    return KeyvalueWriter(Keyvalue(source, name), Keyvalue(destination, name))


KEYVALUE = DataType(decode, operations, _writer)
