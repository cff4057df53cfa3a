"""Which positions a command for elements covers, and for whom."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import orjson

from dvidsync_dagster.datatypes.annotation.commands import Place
from dvidsync_dagster.dvid.annotation import Element, Point, position
from dvidsync_dagster.outgoing_text import escaped
from dvidsync_dagster.plan.outcome import Refusal


@dataclass(slots=True)
class Touched:
    """The positions that the places of a command cover.

    Args:
        points: each with the place (by index) that touched it last; that one answers for it.
        blocks: likewise, blocks (in block coordinates) that were replaced whole.
        arrivals: where elements were moved to.
        refusals: places whose blob makes no sense.
    """

    points: dict[Point, int] = field(default_factory=dict)
    blocks: dict[Point, int] = field(default_factory=dict)
    arrivals: set[Point] = field(default_factory=set)
    refusals: list[Refusal] = field(default_factory=list)

    def add(self, at: int, place: Place, blob: bytes) -> None:
        """Take in a place; `blob` is what was posted there, empty if nothing was."""
        self.points |= dict.fromkeys(place.points, at)
        if place.arrival is not None:
            self.arrivals.add(place.arrival)
        if not place.blob:
            return
        try:
            posted = orjson.loads(blob)
            if not place.whole_blocks:
                self.points |= dict.fromkeys(map(_position, posted or ()), at)
                return
            self.blocks |= dict.fromkeys(map(_block, posted or ()), at)
            for elements in (posted or {}).values():
                self.points |= dict.fromkeys(map(_position, elements or ()), at)
        except (ValueError, TypeError, AttributeError) as error:
            found = f"blob {place.blob} of the source holds no elements: {error}"
            self.refusals.append(Refusal(at, found))


def _position(element: Element | None) -> Point:
    # For DVID null is an element that says nothing of itself.
    return position(element or {})


def _block(name: str) -> Point:
    match = _BLOCK.match(name)
    if match is None:
        raise ValueError(f"{escaped(name, 80)} is no block")
    x, y, z = map(int, match.groups())
    return x, y, z


_BLOCK = re.compile(r"\s*([+-]?\d{1,10}),\s*([+-]?\d{1,10}),\s*([+-]?\d{1,10})", re.ASCII)
"""As DVID reads it: what comes after the third number does not count."""
