"""Which keys people at a destination changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from itertools import islice
from typing import IO

from dvidsync_dagster.datatypes.keyvalue.reading import KEYS_PER_REQUEST, read_keys, read_values
from dvidsync_dagster.datatypes.own_items import OwnItems
from dvidsync_dagster.datatypes.own_values import Both, Evidence, LeftAlone, first_of
from dvidsync_dagster.differences.hashes import hashed
from dvidsync_dagster.differences.sides import DvidSide
from dvidsync_dagster.dvid.keyvalue import Keyvalue, key_bytes
from dvidsync_dagster.log.digests import NOTHING

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class OwnKeys(OwnItems[str]):
    """An empty value is taken for none: only a listing tells them apart."""

    source: Keyvalue

    def compared(
        self,
        there: Mapping[str, bytes],
        found: Mapping[str, bytes],
        keys: Sequence[str],
        times: Mapping[str, Sequence[int]],
    ) -> dict[str, Both]:
        """Keys on both sides; `found` is what the source has of them, `times` when it changed each."""
        return {
            key: Both(
                item_of(key),
                value_digest(found.get(key)),
                value_digest(there.get(key)),
                first_of(times, key),
            )
            for key in keys
        }

    def own(
        self,
        version: str,
        both: Mapping[str, Both],
        there: Callable[[str], bytes],
        times: Mapping[str, Sequence[int]],
    ) -> LeftAlone[str]:
        """The keys that people changed, which must not be written, and why; all others that differ are going
        to be.

        Args:
            there: what the destination has of a key.
            times: when the source changed each.
        """
        evidence = Evidence(
            partial(_digests_in, self.source),
            there,
            changes=lambda key: len(times.get(key, ())),
            tells_deletes=True,
        )
        return self.values.about_to_write(version, self.source.name, both, evidence)


def _digests_in(server: Keyvalue, version: str, keys: Sequence[str]) -> dict[str, int]:
    values = server.values(version, keys)
    return {key: value_digest(values.get(key)) for key in keys}


def item_of(key: str) -> int:
    """What tells a key apart."""
    return hashed(key_bytes(key))


def value_digest(value: bytes | None) -> int:
    return hashed(value) if value else NOTHING


def file_digest(file: IO[bytes]) -> int:
    """The same, of what can be read from here on."""
    return _read(file)[0]


def _read(file: IO[bytes], most: int | None = None) -> tuple[int, int]:
    """The digest, and how much was read: not much more than `most` bytes."""
    digest, size = blake2b(digest_size=8), 0
    while (most is None or size <= most) and (piece := file.read(_PIECE)):
        digest.update(piece)
        size += len(piece)
    return int.from_bytes(digest.digest(), "little") if size else NOTHING, size


def digests(side: DvidSide, most_bytes: int) -> dict[int, int] | None:
    """Of all keys; None if their values are more than `most_bytes`."""
    found: dict[int, int] = {}
    size = 0
    keys = read_keys(side)
    while batch := list(islice(keys, KEYS_PER_REQUEST)):
        for key, file in zip(batch, read_values(side, batch), strict=True):
            digest, read = _read(file, most_bytes - size)
            size += read + len(key)
            if size > most_bytes:
                return None
            found[item_of(key)] = digest
    return found
