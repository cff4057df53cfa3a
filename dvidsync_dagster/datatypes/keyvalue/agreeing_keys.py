"""Which keys have the same value on both sides."""

from __future__ import annotations

from collections.abc import Collection

from dvidsync_dagster.datatypes.keyvalue.own_keys import file_digest
from dvidsync_dagster.datatypes.keyvalue.reading import KEYS_PER_REQUEST, read_values
from dvidsync_dagster.datatypes.keyvalue.writer import read_written_as
from dvidsync_dagster.differences.sides import DvidSide
from dvidsync_dagster.dvid.keyvalue import UNREADABLE, Keyvalue
from dvidsync_dagster.log.digests import NOTHING


def agreeing_keys(version: str, source: Keyvalue, destination: Keyvalue, keys: Collection[str]) -> set[str]:
    """Those that do, or are on neither side. Values are never held whole, but for those of raw keys."""
    odd = {key for key in keys if UNREADABLE in key}
    plain = sorted(set(keys) - odd)
    found = {
        key
        for key in odd
        if read_written_as(source, version, key) == read_written_as(destination, version, key)
    }
    for start in range(0, len(plain), KEYS_PER_REQUEST):
        some = plain[start : start + KEYS_PER_REQUEST]
        here, there = (_digests(each, version, some) for each in (source, destination))
        for key, one, other in zip(some, here, there, strict=True):
            # What is empty looks like what is not there.
            is_told = one != NOTHING or source.exists(version, key) == destination.exists(version, key)
            if one == other and is_told:
                found.add(key)
    return found


def _digests(server: Keyvalue, version: str, keys: list[str]) -> list[int]:
    side = DvidSide(server.client, version, server.name)
    return [file_digest(file) for file in read_values(side, keys)]
