"""Values copied from source to destination.

The messages hold no values, so the source is asked for those of the keys that changed; they may be newer by
then, and what made them so comes later in the log.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from tempfile import TemporaryFile
from typing import IO

from dvidsync_dagster.datatypes.copied import is_committed
from dvidsync_dagster.datatypes.keyvalue.batches import MAX_BYTES
from dvidsync_dagster.datatypes.keyvalue.commands import CopyKeys
from dvidsync_dagster.datatypes.keyvalue.own_keys import OwnKeys, file_digest, item_of
from dvidsync_dagster.datatypes.own_values import Both, OwnValues, first_of
from dvidsync_dagster.dvid.keyvalue import UNREADABLE, Keyvalue, fits_path
from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.log.digests import NOTHING
from dvidsync_dagster.plan.outcome import Outcome, Refusal, refusal_of, refused

_LARGE_AT_A_TIME = 2


@dataclass(slots=True)
class KeyvalueWriter:
    """Copies values of one instance from source to destination, as far as people there did not change them.

    Args:
        own_values: tells what they changed.
    """

    source: Keyvalue
    destination: Keyvalue
    own_values: InitVar[OwnValues]
    _own: OwnKeys = field(init=False)
    _large: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(_LARGE_AT_A_TIME))

    def __post_init__(self, own_values: OwnValues) -> None:
        self._own = OwnKeys(own_values, self.source)

    def carry_out(self, command: CopyKeys) -> Outcome:
        """Copy the keys of a command."""
        if len(command.keys) == 1 and command.largest > MAX_BYTES:
            with self._large:
                large = self._copy_large(command, command.keys[0])
                return large or self._copy(command)
        return self._copy(command)

    def _copy_large(self, command: CopyKeys, key: str) -> Outcome | None:
        """Copy a value by way of a file: it is nowhere whole in memory. None if this is another case."""
        if UNREADABLE in key or not fits_path(key):
            return None
        version, times = command.version, command.times
        with TemporaryFile() as kept:
            try:
                if not self.source.read_into(version, key, kept):
                    return None
            except RequestRefused as refusal:
                return Outcome(refusals=(Refusal(0, f"source: {refusal}"),))
            since = first_of(times, key)
            both = self._compared_large(version, key, kept, since) if self._own.are_told else {}
            own = self._own.own(version, both, lambda key: self.destination.value(version, key) or b"", times)
            if own:
                self._own.written(version, both, own, ())
                return refused(_left_alone(key, own[key]))
            try:
                self.destination.write_from(version, key, kept)
            except RequestRefused as refusal:
                if not (is_committed(refusal) and self.destination.holds(version, key, kept)):
                    return Outcome(refusals=(refusal_of(0, refusal),))
            self._own.written(version, both, (), ())
        return Outcome()

    def _compared_large(self, version: str, key: str, kept: IO[bytes], since: int) -> dict[str, Both]:
        """A value that is in a file, on both sides."""
        kept.seek(0)
        here = file_digest(kept)
        kept.seek(0)
        with TemporaryFile() as there:
            size = self.destination.read_into(version, key, there)
            there.seek(0)
            return {key: Both(item_of(key), here, file_digest(there) if size else NOTHING, since)}

    def _copy(self, command: CopyKeys) -> Outcome:
        parts = {key: part for part, key in enumerate(command.keys)}
        plain = {key: part for key, part in parts.items() if UNREADABLE not in key}
        refusals = self._copy_named(command, plain) if plain else []
        for text in parts.keys() - plain.keys():
            refusals += self._copy_written_as(command, text, parts[text])
        return Outcome(refusals=tuple(refusals))

    def _copy_named(self, command: CopyKeys, parts: Mapping[str, int]) -> list[Refusal]:
        version, keys = command.version, list(parts)
        server = "source"
        try:
            found = _read(self.source, version, keys)
            server = "destination"
            wanted = [key for key in keys if key in found or key not in command.stays]
            there = self.destination.values(version, wanted) if self._own.are_told else {}
        except RequestRefused as refusal:
            if len(keys) == 1:
                return [Refusal(parts[keys[0]], f"{server}: {refusal}")]
            # One of them can be at fault, such as a key that no request line holds: the others go without it.
            halves = keys[: len(keys) // 2], keys[len(keys) // 2 :]
            return [
                refused
                for half in halves
                for refused in self._copy_named(command, {key: parts[key] for key in half})
            ]
        both = self._own.compared(there, found, wanted, command.times) if self._own.are_told else {}
        own = self._own.own(version, both, there.__getitem__, command.times)
        left = own.keys() | {
            key for key, sides in both.items() if sides.source == sides.destination != NOTHING
        }
        written = [(key, value) for key, value in found.items() if key not in left]
        refusals = [refusal_of(parts[key], why) for key, why in self._write(version, written)]
        for key, part in parts.items():
            if key not in found and key not in command.stays and key not in left:
                refusals += self._delete(version, key, part)
        refused_parts = {refusal.part for refusal in refusals}
        self._own.written(version, both, own, {key for key in both if parts[key] in refused_parts})
        return [*refusals, *(Refusal(parts[key], _left_alone(key, why)) for key, why in own.items())]

    def _copy_written_as(self, command: CopyKeys, text: str, part: int) -> list[Refusal]:
        """Copy all keys that the message can mean: a byte that is no UTF-8 is a U+FFFD in it."""
        version = command.version
        try:
            found, there = (read_written_as(side, version, text) for side in (self.source, self.destination))
        except RequestRefused as refusal:
            return [Refusal(part, str(refusal))]
        keys = set(found) if text in command.stays else {text, *found, *there}
        # Which of them was changed how often, the message does not tell.
        times = dict.fromkeys(keys, (first_of(command.times, text),))
        both = self._own.compared(there, found, sorted(keys), times) if self._own.are_told else {}
        own = self._own.own(version, both, there.__getitem__, {})
        missing = [(key, value) for key, value in found.items() if there.get(key) != value and key not in own]
        refusals = [refusal_of(part, why) for _, why in self._write(version, missing)]
        for key in (keys & there.keys()) - found.keys() - own.keys():
            refusals += self._delete(version, key, part)
        self._own.written(version, both, own, both.keys() - own.keys() if refusals else ())
        return [*refusals, *(Refusal(part, _left_alone(key, why)) for key, why in own.items())]

    def _delete(self, version: str, key: str, part: int) -> list[Refusal]:
        try:
            self.destination.delete(version, key)
        except RequestRefused as refusal:
            if not (is_committed(refusal) and not self.destination.exists(version, key)):
                return [refusal_of(part, refusal)]
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
        refused: list[tuple[str, RequestRefused]] = []
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


def _left_alone(key: str, why: str) -> str:
    return f"key {key!r:.200}: {why}"


def read_written_as(server: Keyvalue, version: str, text: str) -> dict[str, bytes]:
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
