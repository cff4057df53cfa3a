"""Many items in little memory: sums of hashes by bucket, which do not depend on any order.

Both servers are read once into a digest each. Where those are the same, so are the items; where not, only the
items in the buckets that differ are read again and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from dvidsync_dagster.differences.hashes import hashed

BUCKETS = 1 << 16

Numbers = npt.NDArray[np.uint64]
Wanted = Callable[[Numbers], npt.NDArray[np.bool_]]
"""Which items to keep, by their places."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some items: arrays of one length.

    Args:
        keys: what tells an item from others: numbers, or anything in an array of objects.
        places: hashes of the keys.
        values: a number per item, or a hash of what it holds.
    """

    keys: npt.NDArray[Any]
    places: Numbers
    values: Numbers

    def only(self, wanted: Wanted) -> Page:
        mask = wanted(self.places)
        return Page(self.keys[mask], self.places[mask], self.values[mask])


def numbered(keys: Numbers, values: Numbers) -> Page:
    """Items that are told apart by a number."""
    return Page(keys, mixed(keys), values)


def named(keys: Sequence[Any], names: Iterable[bytes], values: Sequence[int]) -> Page:
    """Items that are told apart by some bytes."""
    objects = np.empty(len(keys), object)
    for place, key in enumerate(keys):  # at once, numpy would make more dimensions of tuples
        objects[place] = key
    places = np.array([hashed(name) for name in names], np.uint64)
    return Page(objects, places, np.array(values, np.uint64))


def joined(pages: Iterable[Page]) -> Page:
    """All items of some pages."""
    every = list(pages) or [numbered(np.empty(0, np.uint64), np.empty(0, np.uint64))]
    return Page(
        np.concatenate([page.keys for page in every]),
        np.concatenate([page.places for page in every]),
        np.concatenate([page.values for page in every]),
    )


def mixed(numbers: Numbers) -> Numbers:
    """Splitmix64: each bit of a number on all bits of the result."""
    result = numbers + np.uint64(0x9E3779B97F4A7C15)
    result = (result ^ (result >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    result = (result ^ (result >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixture: Numbers = result ^ (result >> np.uint64(31))
    return mixture


@dataclass
class Digest:
    """The sum of the items' hashes in each bucket, and how many items there were."""

    sums: Numbers = field(default_factory=lambda: np.zeros(BUCKETS, np.uint64))
    count: int = 0

    def add(self, page: Page) -> None:
        items = mixed(page.places + mixed(page.values) * np.uint64(0xD6E8FEB86659FD93))
        np.add.at(self.sums, _buckets(page.places), items)
        self.count += len(page.places)

    def differing(self, other: Digest) -> Wanted | None:
        """Picks the items whose buckets differ; None if none does."""
        mask = self.sums != other.sums
        if not mask.any():
            return None
        return lambda places: mask[_buckets(places)]


def _buckets(places: Numbers) -> npt.NDArray[np.intp]:
    return (places >> np.uint64(48)).astype(np.intp)
