"""Comparing items of one kind, which both sides list, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_fixed

from dvidsync_dagster.differences.digest import Digest, Numbers, Page, Wanted, joined
from dvidsync_dagster.differences.findings import EXAMPLES, Difference, DifferenceKind
from dvidsync_dagster.differences.sides import DvidSide, Kind, Side
from dvidsync_dagster.errors import ServerUnreachable
from dvidsync_dagster.outgoing_text import escaped

Result = TypeVar("Result")
Asked = TypeVar("Asked", bound=Side)


@dataclass(frozen=True, slots=True)
class Pair:
    """An instance in a version at the source and at the destination.

    Args:
        settled: both versions are committed, so that nothing is written while it is read.
        sieve: keeps of what is found to differ that which concerns the caller.
    """

    source: Side
    destination: Side
    settled: bool
    sieve: Callable[[Found], Found] = lambda found: found


@dataclass(frozen=True, slots=True)
class ServerPair(Pair):
    """A pair with a DVID server on both sides: some things only servers can be asked for."""

    source: DvidSide
    destination: DvidSide


@dataclass(frozen=True, slots=True)
class Found:
    """The items that differ, sorted by key: arrays of one length.

    Args:
        keys: of the items.
        source, destination: their values, 0 where there is none.
        at_source, at_destination: where they are.
    """

    kind: Kind
    keys: npt.NDArray[Any]
    source: Numbers
    destination: Numbers
    at_source: npt.NDArray[np.bool_]
    at_destination: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.keys)

    def only(self, mask: npt.NDArray[np.bool_]) -> Found:
        return Found(
            self.kind,
            self.keys[mask],
            self.source[mask],
            self.destination[mask],
            self.at_source[mask],
            self.at_destination[mask],
        )

    def rows(self, version: str, instance: str) -> Iterator[Difference]:
        """One row each for what only one side has, and for what differs."""
        for what, mask in (
            (f"{self.kind.name} only at the source", self.at_source & ~self.at_destination),
            (f"{self.kind.name} only at the destination", ~self.at_source & self.at_destination),
            (self.kind.differing, self.at_source & self.at_destination),
        ):
            count = int(mask.sum())
            if count:
                places = np.flatnonzero(mask)[:EXAMPLES]
                examples = tuple(self._example(int(place)) for place in places)
                yield Difference(
                    version, instance, what, count, examples, DifferenceKind.ITEMS, self.kind.name
                )

    def _example(self, place: int) -> str:
        key = self.keys[place]
        if self.kind.show is None:
            return escaped(str(key), 200)
        both = []
        if self.at_source[place]:
            both.append(self.kind.show(key, int(self.source[place])))
        if self.at_destination[place]:
            both.append(self.kind.show(key, int(self.destination[place])))
        return f"{key}: {' here, '.join(both)} there" if len(both) == 2 else f"{key}: {both[0]}"


def side_by_side(work: Callable[[Asked], Result], source: Asked, destination: Asked) -> tuple[Result, Result]:
    """Ask both sides at the same time."""
    with ThreadPoolExecutor(2) as pool:
        here, there = pool.submit(work, source), pool.submit(work, destination)
        return here.result(), there.result()


def find(kind: Kind, pair: Pair) -> tuple[Found | None, int]:
    """What differs and concerns the pair's caller, and how many items the source lists."""
    found, count = find_all(kind, pair)
    if found is not None and kind.values is not None:
        found = _asked_for(kind, pair, found)
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
    one, other = side_by_side(partial(_digest, kind), pair.source, pair.destination)
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
        key: (int(here), int(there))
        for key, here, there in zip(before.keys.tolist(), before.source, before.destination, strict=True)
    }
    same = [
        known.get(key) == (int(here), int(there))
        for key, here, there in zip(after.keys.tolist(), after.source, after.destination, strict=True)
    ]
    return after.only(np.array(same, bool))


def _find_wanted(kind: Kind, pair: Pair, wanted: Wanted) -> Found:
    source, destination = side_by_side(lambda side: _kept(kind, side, wanted), pair.source, pair.destination)
    return differing(kind, source, destination)


def _asked_for(kind: Kind, pair: Pair, found: Found) -> Found:
    """What still differs once each is asked for: what is not listed can be there all the same."""
    keys = found.keys.tolist()
    source, destination = side_by_side(lambda side: side.values(kind, keys), pair.source, pair.destination)
    asked = replace(
        found, source=source, destination=destination, at_source=source != 0, at_destination=destination != 0
    )
    return asked.only(source != destination)


def differing(kind: Kind, source: Page, destination: Page) -> Found:
    """The items of two pages that differ. Values of one key add up, for items that share it."""
    places, first = np.unique(np.concatenate([source.places, destination.places]), return_index=True)
    keys = np.concatenate([source.keys, destination.keys])[first]
    sums = []
    for page in (source, destination):
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
        found.destination[order],
        found.at_source[order],
        found.at_destination[order],
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
    for page in side.pages(kind, None):
        digest.add(page)
    return digest


@_again
def _kept(kind: Kind, side: Side, wanted: Wanted) -> Page:
    return joined(page.only(wanted) for page in side.pages(kind, wanted))
