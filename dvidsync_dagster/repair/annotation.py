"""Annotation instances: elements posted and deleted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from itertools import islice

from dvidsync_dagster.compare.annotation import ELEMENTS, Element, Position, read_elements
from dvidsync_dagster.differences.items import Found, Pair, Side, find
from dvidsync_dagster.differences.work import Work
from dvidsync_dagster.dvid.annotation import Annotation

ELEMENTS_PER_REQUEST = 5_000


def repair_annotation(pair: Pair, work: Work) -> None:
    """Delete the elements that the source does not have, then post those that are missing or differ.

    Where either has several at one point, all are posted anew: a post replaces one of them.
    """
    found, _ = find(ELEMENTS, pair)
    if found is None:
        return
    version, name = pair.source.version, pair.source.name
    copy = Annotation(pair.copy.client, pair.copy.name)
    differing = set(found.keys.tolist())
    here, there = _counts(pair.source, differing), _counts(pair.copy, differing)
    deleted = sorted(position for position in there if here[position] != 1 or there[position] != 1)
    if work.plan(version, name, "delete element", deleted):
        for position in deleted:
            for _ in range(there[position]):
                work.still_owner()
                copy.delete(version, position, user=None)
        # With an element go the relations to it, which the source may still have.
        again, _ = find(ELEMENTS, pair)
        if again is None:
            return
        found = again
    written = _at_source(found)
    if work.plan(version, name, "post element", written):
        elements = _elements(pair.source, set(written))
        while some := list(islice(elements, ELEMENTS_PER_REQUEST)):
            work.still_owner()
            copy.post(version, some, user=None)


def _counts(side: Side, positions: Collection[Position]) -> Counter[Position]:
    """How many elements there are at each position."""
    return Counter(position for position, _ in read_elements(side) if position in positions)


def _at_source(found: Found) -> list[Position]:
    positions: list[Position] = found.keys[found.at_source].tolist()
    return positions


def _elements(side: Side, positions: Collection[Position]) -> Iterator[Element]:
    return (element for position, element in read_elements(side) if position in positions)
