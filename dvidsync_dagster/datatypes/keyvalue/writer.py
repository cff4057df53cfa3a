"""Values copied from source to destination.

The messages hold no values, so the source is asked for those of the keys that changed; they may be newer by
then, and what made them so comes later in the log.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from tempfile import TemporaryFile

from dvidsync_dagster.datatypes.copied import is_committed
from dvidsync_dagster.datatypes.keyvalue.batches import MAX_BYTES
from dvidsync_dagster.datatypes.keyvalue.commands import CopyKeys
from dvidsync_dagster.datatypes.own_values import OwnValues, hash_of, hash_of_file, own_value
from dvidsync_dagster.dvid.keyvalue import UNREADABLE, Keyvalue, fits_path, key_bytes
from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.plan.outcome import Outcome, Refusal, refusal_of

_LARGE_AT_A_TIME = 2


@dataclass(slots=True)
class KeyvalueWriter:
    """Copies values of one instance from source to destination."""

    source: Keyvalue
    destination: Keyvalue
    own_values: OwnValues | None = None
    _large: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(_LARGE_AT_A_TIME))

    def carry_out(self, command: CopyKeys, *, forced: bool = False) -> Outcome:
        """Copy the keys of a command.

        Args:
            forced: the destination's own values too.
        """
        if len(command.keys) == 1 and command.largest > MAX_BYTES:
            with self._large:
                large = self._copy_large(command.version, command.keys[0], forced=forced)
                return large or self._copy(command, forced=forced)
        return self._copy(command, forced=forced)

    def _copy_large(self, version: str, key: str, *, forced: bool) -> Outcome | None:
        """Copy a value by way of a file: it is nowhere whole in memory. None if this is another case."""
        if UNREADABLE in key or not fits_path(key):
            return None
        with TemporaryFile() as kept:
            try:
                if not self.source.read_into(version, key, kept):
                    return None
            except RequestRefused as refusal:
                return Outcome(refusals=(Refusal(0, f"source: {refusal}"),))
            kept.seek(0)
            if self._own(version, {key: hash_of_file(kept)}, forced=forced):
                return Outcome(refusals=(own_value(0, f"key {key!r}"),))
            try:
                self.destination.write_from(version, key, kept)
            except RequestRefused as refusal:
                if not (is_committed(refusal) and self.destination.holds(version, key, kept)):
                    return Outcome(refusals=(refusal_of(0, refusal),))
        return Outcome()

    def _copy(self, command: CopyKeys, *, forced: bool) -> Outcome:
        parts = {key: part for part, key in enumerate(command.keys)}
        plain = {key: part for key, part in parts.items() if UNREADABLE not in key}
        refusals = self._copy_named(command, plain, forced=forced) if plain else []
        for text in parts.keys() - plain.keys():
            refusals += self._copy_written_as(command, text, parts[text], forced=forced)
        return Outcome(refusals=tuple(refusals))

    def _copy_named(self, command: CopyKeys, parts: Mapping[str, int], *, forced: bool) -> list[Refusal]:
        version = command.version
        try:
            found = _read(self.source, version, list(parts))
        except RequestRefused as refusal:
            keys = list(parts)
            if len(keys) == 1:
                return [Refusal(parts[keys[0]], f"source: {refusal}")]
            # One of them can be at fault, such as a key that no request line holds: the others go without it.
            halves = keys[: len(keys) // 2], keys[len(keys) // 2 :]
            return [
                refused
                for half in halves
                for refused in self._copy_named(command, {key: parts[key] for key in half}, forced=forced)
            ]
        coming = {key: hash_of(found.get(key)) for key in parts if key in found or key not in command.stays}
        own = self._own(version, coming, forced=forced)
        refusals = [own_value(parts[key], f"key {key!r}") for key in own]
        wanted = [(key, value) for key, value in found.items() if key not in own]
        refusals += [refusal_of(parts[key], why) for key, why in self._write(version, wanted)]
        for key in coming.keys() - found.keys() - own:
            refusals += self._delete(version, key, parts[key])
        return refusals

    def _own(self, version: str, coming: Mapping[str, int], *, forced: bool) -> set[str]:
        """The keys whose values must stay as the destination has them. The others are noted."""
        if self.own_values is None or not coming:
            return set()
        return self.own_values.among(
            version,
            self._hashes(version, coming),
            coming,
            name=key_bytes,
            read_in=self._hashes,
            forced=forced,
        )

    def _hashes(self, version: str, keys: Collection[str]) -> Mapping[str, int]:
        """Those of the destination's values. One that is empty counts as none."""
        if len(keys) == 1:
            (key,) = keys
            if UNREADABLE not in key and fits_path(key):
                with TemporaryFile() as kept:
                    self.destination.read_into(version, key, kept)
                    kept.seek(0)
                    return {key: hash_of_file(kept)}
        there = self.destination.values(version, list(keys))
        return {key: hash_of(there.get(key)) for key in keys}

    def _copy_written_as(self, command: CopyKeys, text: str, part: int, *, forced: bool) -> list[Refusal]:
        """Copy all keys that the message can mean: a byte that is no UTF-8 is a U+FFFD in it."""
        version = command.version
        try:
            found, there = (_read_written_as(side, version, text) for side in (self.source, self.destination))
        except RequestRefused as refusal:
            return [Refusal(part, str(refusal))]
        gone = there.keys() - found.keys() if text not in command.stays else set()
        coming = {key: hash_of(found.get(key)) for key in (*found, *gone)}
        own = self._own(version, coming, forced=forced)
        refusals = [own_value(part, f"key {key!r}") for key in sorted(own)]
        missing = [(key, value) for key, value in found.items() if there.get(key) != value and key not in own]
        refusals += [refusal_of(part, why) for _, why in self._write(version, missing)]
        if text not in command.stays:
            for key in gone - own:
                refusals += self._delete(version, key, part)
        return refusals

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
