"""Which positions a command for elements covers, and for whom."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

import orjson

from dvidsync_dagster.datatypes.annotation.commands import ElementPlace
from dvidsync_dagster.dvid.annotation import Annotation, Element, Point, position
from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.outgoing_text import escaped
from dvidsync_dagster.plan.outcome import Refusal

_BLOBS_AT_ONCE = 64


@dataclass(slots=True)
class TouchedPositions:
    """The positions that the places of a command cover.

    Args:
        points: each with the place (by index) that touched it last; that one answers for it.
        blocks: likewise, blocks (in block coordinates) that were replaced whole.
        arrivals: where elements were moved to.
        since, blocks_since: when each was touched first (ns since 1970).
        refusals: places whose blob makes no sense.
    """

    points: dict[Point, int] = field(default_factory=dict)
    blocks: dict[Point, int] = field(default_factory=dict)
    arrivals: set[Point] = field(default_factory=set)
    since: dict[Point, int] = field(default_factory=dict)
    blocks_since: dict[Point, int] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)

    def add(self, at: int, place: ElementPlace, blob: bytes) -> None:
        """Take in a place; `blob` is what was posted there, empty if nothing was."""
        self._touch(place.points, at, place)
        if place.arrival is not None:
            self.arrivals.add(place.arrival)
        if not place.blob:
            return
        try:
            posted = orjson.loads(blob)
            if not place.whole_blocks:
                self._touch(map(_position, posted or ()), at, place)
                return
            for block in map(block_named, posted or ()):
                self.blocks[block] = at
                self.blocks_since.setdefault(block, place.since)
            for elements in (posted or {}).values():
                self._touch(map(_position, elements or ()), at, place)
        except (ValueError, TypeError, AttributeError) as error:
            found = f"blob {place.blob} of the source holds no elements: {error}"
            self.refusals.append(Refusal(at, found))

    def in_block(self, block: Point, points: Iterable[Point]) -> None:
        """What is in a block that was replaced is touched too."""
        for point in points:
            self.points.setdefault(point, self.blocks[block])
            first = self.blocks_since[block]
            self.since[point] = min(first, self.since.get(point, first))

    def _touch(self, points: Iterable[Point], at: int, place: ElementPlace) -> None:
        for point in points:
            self.points[point] = at
            self.since.setdefault(point, place.since)


def read_touched(
    source: Annotation, version: str, places: Sequence[ElementPlace], pool: Executor
) -> TouchedPositions:
    """What places cover, by what was posted there. What the source refuses to tell is a refusal too."""

    def blob(place: ElementPlace) -> bytes | RequestRefused:
        try:
            return source.blob(version, place.blob) if place.blob else b""
        except RequestRefused as refusal:
            return refusal

    touched = TouchedPositions()
    for start in range(0, len(places), _BLOBS_AT_ONCE):
        some = places[start : start + _BLOBS_AT_ONCE]
        for at, (place, content) in enumerate(zip(some, pool.map(blob, some), strict=True), start):
            if isinstance(content, RequestRefused):
                touched.refusals.append(Refusal(at, f"source: {content}"))
            else:
                touched.add(at, place, content)
    return touched


def _position(element: Element | None) -> Point:
    # For DVID null is an element that says nothing of itself.
    return position(element or {})


def block_named(name: str) -> Point:
    """The coordinates of a block, which are its name. Raises ValueError for what is no block's name."""
    match = _BLOCK.match(name)
    if match is None:
        raise ValueError(f"{escaped(name, 80)} is no block")
    x, y, z = map(int, match.groups())
    return x, y, z


_BLOCK = re.compile(r"\s*([+-]?\d{1,10}),\s*([+-]?\d{1,10}),\s*([+-]?\d{1,10})", re.ASCII)
"""As DVID reads it: what comes after the third number does not count."""
