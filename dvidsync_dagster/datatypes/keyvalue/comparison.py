"""Keyvalue instances: which keys there are, and a hash of each value."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice
from typing import IO

import numpy as np

from dvidsync_dagster.datatypes.contract import DataComparison
from dvidsync_dagster.datatypes.keyvalue.events import DeleteKey, PostKey
from dvidsync_dagster.datatypes.keyvalue.reading import KEYS_PER_REQUEST, read_keys, read_values
from dvidsync_dagster.differences.digest import Page, Wanted, named
from dvidsync_dagster.differences.hashes import hashed
from dvidsync_dagster.differences.items import Found, Pair, find, gathered
from dvidsync_dagster.differences.sides import DvidSide, Kind
from dvidsync_dagster.differences.touched import Touched
from dvidsync_dagster.dvid.keyvalue import key_bytes
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.events.event import Event

_PIECE = 1 << 20


def value_pages(side: DvidSide, wanted: Wanted | None) -> Iterator[Page]:
    """Keys with hashes of their values, which are never held whole."""
    keys = read_keys(side)
    while batch := list(islice(keys, KEYS_PER_REQUEST)):
        if wanted is not None:
            places = np.array([hashed(key_bytes(key)) for key in batch], np.uint64)
            batch = [key for key, keep in zip(batch, wanted(places), strict=True) if keep]
        if batch:
            values = [_hash_of(file) for file in read_values(side, batch)]
            yield named(batch, map(key_bytes, batch), values)


def _hash_of(file: IO[bytes]) -> int:
    digest = blake2b(digest_size=8)
    while piece := file.read(_PIECE):
        digest.update(piece)
    return int.from_bytes(digest.digest(), "little")


VALUES = Kind("keys", "keys with another value", value_pages)


class KeyvalueComparison(DataComparison):
    """Keys and their values."""

    def items(self, pair: Pair, *, lower_scales: bool) -> tuple[list[Found], int]:
        return gathered([find(VALUES, pair)])

    def touch(self, event: Event, touched: Touched, source: Transport) -> None:
        if isinstance(event, PostKey | DeleteKey):
            touched.add_items(event.instance, event.version, [event.key])
        else:
            touched.whole.add((event.instance, event.version))
