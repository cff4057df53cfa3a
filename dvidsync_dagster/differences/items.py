"""Comparing items of one kind, which both servers list, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_fixed

from dvidsync_dagster.compare.digest import Digest, Numbers, Page, Wanted, joined
from dvidsync_dagster.compare.findings import EXAMPLES, Difference
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.errors import ServerUnreachable
from dvidsync_dagster.outgoing_text import escaped

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Side:
    """One instance in one version of one server."""

    client: Transport
    version: str
    name: str


@dataclass(frozen=True, slots=True)
class Pair:
    """An instance in a version at the source, and its copy.

    Args:
        settled: both versions are committed, so that nothing is written while it is read.
        sieve: keeps of what is found to differ that which concerns the caller.
    """

    source: Side
    copy: Side
    settled: bool
    sieve: Callable[[Found], Found] = lambda found: found


Pages = Callable[[Side, Wanted | None], Iterator[Page]]
"""Lists items; with `Wanted` only those (others can be left in)."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Items of one kind: what they are called, and how they are listed.

    Args:
        noun: many of them, such as "bodies".
        differing: many of them that are on both sides but differ, such as "bodies of another size".
        show: one of them with its value, for examples; without, its key alone is shown.
        values_are_bodies: what changes a body changes the items that have it as their value.
        follows_voxels: any split of supervoxels can change them.
    """

    noun: str
    differing: str
    pages: Pages
    show: Callable[[Any, int], str] | None = None
    values_are_bodies: bool = False
    follows_voxels: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """The items that differ, sorted by key: arrays of one length.

    Args:
        keys: of the items.
        source, copy: their values, 0 where there is none.
        at_source, at_copy: where they are.
    """

    kind: Kind
    keys: npt.NDArray[Any]
    source: Numbers
    copy: Numbers
    at_source: npt.NDArray[np.bool_]
    at_copy: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.keys)

    def only(self, mask: npt.NDArray[np.bool_]) -> Found:
        return Found(
            self.kind,
            self.keys[mask],
            self.source[mask],
            self.copy[mask],
            self.at_source[mask],
            self.at_copy[mask],
        )

    def rows(self, version: str, instance: str) -> Iterator[Difference]:
        """One row each for what only one side has, and for what differs."""
        for what, mask in (
            (f"{self.kind.noun} only at the source", self.at_source & ~self.at_copy),
            (f"{self.kind.noun} only at the destination", ~self.at_source & self.at_copy),
            (self.kind.differing, self.at_source & self.at_copy),
        ):
            count = int(mask.sum())
            if count:
                places = np.flatnonzero(mask)[:EXAMPLES]
                examples = tuple(self._example(int(place)) for place in places)
                yield Difference(version, instance, what, count, examples)

    def _example(self, place: int) -> str:
        key = self.keys[place]
        if self.kind.show is None:
            return escaped(str(key), 200)
        both = []
        if self.at_source[place]:
            both.append(self.kind.show(key, int(self.source[place])))
        if self.at_copy[place]:
            both.append(self.kind.show(key, int(self.copy[place])))
        return f"{key}: {' here, '.join(both)} there" if len(both) == 2 else f"{key}: {both[0]}"


def side_by_side(work: Callable[[Side], Result], pair: Pair) -> tuple[Result, Result]:
    """Ask both servers at the same time."""
    with ThreadPoolExecutor(2) as pool:
        source, copy = pool.submit(work, pair.source), pool.submit(work, pair.copy)
        return source.result(), copy.result()


def find(kind: Kind, pair: Pair) -> tuple[Found | None, int]:
    """What differs and concerns the pair's caller, and how many items the source has."""
    found, count = find_all(kind, pair)
    return sifted(found, pair), count


def sifted(found: Found | None, pair: Pair) -> Found | None:
    """What the pair's sieve keeps of what was found; None if that is nothing."""
    kept = pair.sieve(found) if found is not None else None
    return kept if kept is not None and len(kept) else None


def find_all(kind: Kind, pair: Pair) -> tuple[Found | None, int]:
    """What differs, and how many items the source has.

    What differs is read again; in versions that are being written twice more, and then it must have stayed
    the same. So what was written in between is not taken for a difference.
    """
    one, other = side_by_side(lambda side: _digest(kind, side), pair)
    wanted = one.differing(other)
    if wanted is None:
        return None, one.count
    found = _find_wanted(kind, pair, wanted)
    if len(found) and not pair.settled:
        found = _in_both(found, _find_wanted(kind, pair, wanted))
    return (found if len(found) else None), one.count


def gathered(finds: Iterable[tuple[Found | None, int]]) -> tuple[list[Found], int]:
    """What several kinds of items came to."""
    every = list(finds)
    return [found for found, _ in every if found is not None], sum(count for _, count in every)


def _in_both(before: Found, after: Found) -> Found:
    known = {
        key: (int(source), int(copy))
        for key, source, copy in zip(before.keys.tolist(), before.source, before.copy, strict=True)
    }
    same = [
        known.get(key) == (int(source), int(copy))
        for key, source, copy in zip(after.keys.tolist(), after.source, after.copy, strict=True)
    ]
    return after.only(np.array(same, bool))


def _find_wanted(kind: Kind, pair: Pair, wanted: Wanted) -> Found:
    source, copy = side_by_side(lambda side: _kept(kind, side, wanted), pair)
    return differing(kind, source, copy)


def differing(kind: Kind, source: Page, copy: Page) -> Found:
    """The items of two pages that differ. Values of one key add up, for items that share it."""
    places, first = np.unique(np.concatenate([source.places, copy.places]), return_index=True)
    keys = np.concatenate([source.keys, copy.keys])[first]
    sums = []
    for page in (source, copy):
        spots = np.searchsorted(places, page.places)
        values = np.zeros(len(places), np.uint64)
        np.add.at(values, spots, page.values)
        there = np.zeros(len(places), bool)
        there[spots] = True
        sums.append((values, there))
    (at_one, one_there), (at_other, other_there) = sums
    found = Found(kind, keys, at_one, at_other, one_there, other_there)
    found = found.only((at_one != at_other) | (one_there != other_there))
    if found.keys.dtype == object:
        order = np.array(sorted(range(len(found)), key=lambda place: found.keys[place]), np.intp)
    else:
        order = np.argsort(found.keys)
    return Found(
        kind,
        found.keys[order],
        found.source[order],
        found.copy[order],
        found.at_source[order],
        found.at_copy[order],
    )


# An answer that broke off is read anew; the client itself cannot repeat what somebody has begun to read.
_again = retry(
    retry=retry_if_exception_type(ServerUnreachable),
    stop=stop_after_attempt(5),
    wait=wait_fixed(1),
    reraise=True,
)


@_again
def _digest(kind: Kind, side: Side) -> Digest:
    digest = Digest()
    for page in kind.pages(side, None):
        digest.add(page)
    return digest


@_again
def _kept(kind: Kind, side: Side, wanted: Wanted) -> Page:
    return joined(page.only(wanted) for page in kind.pages(side, wanted))
