"""At which points people at a destination changed elements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

import orjson

from dvidsync_dagster.datatypes.annotation.commands import place_named
from dvidsync_dagster.datatypes.annotation.region import Region
from dvidsync_dagster.datatypes.annotation.touched_positions import read_touched
from dvidsync_dagster.datatypes.own_items import OwnItems
from dvidsync_dagster.datatypes.own_values import Both, Evidence, LeftAlone
from dvidsync_dagster.differences.hashes import canonical, hashed
from dvidsync_dagster.differences.sides import DvidSide
from dvidsync_dagster.dvid.annotation import Annotation, Element, Point, position
from dvidsync_dagster.dvid.json_stream import object_fields
from dvidsync_dagster.dvid.paths import node_path
from dvidsync_dagster.errors import ServerFailed
from dvidsync_dagster.log.digests import NOTHING

_NAMED = 20
"""Points of one operation that are named where people changed the elements there."""


@dataclass(frozen=True, slots=True)
class OwnElements(OwnItems[Point]):
    """Relations are not looked at: deletes and moves change those of others."""

    source: Annotation

    def compared(
        self, source: Region, destination: Region, points: Iterable[Point], since: Mapping[Point, int]
    ) -> dict[Point, Both]:
        """Points on both sides; the regions hold their blocks. `since` is when the source changed each
        first."""
        return {
            point: Both(
                item_of(point),
                elements_digest(source.at(point)),
                elements_digest(destination.at(point)),
                since.get(point, 0),
            )
            for point in points
        }

    def own(self, source: Region, destination: Region, both: Mapping[Point, Both]) -> LeftAlone[Point]:
        """Those that people changed, which must not be written, and why; all others that differ are going to
        be."""
        evidence = Evidence(
            partial(_digests_in, self.source, source.edge, source.pool),
            lambda point: orjson.dumps(destination.at(point)),
            named=lambda items: (
                read_touched(
                    self.source, source.version, [place_named(item) for item in items], source.pool
                ).points
            ),
        )
        return self.values.about_to_write(source.version, self.source.name, both, evidence)


def _digests_in(
    server: Annotation, edge: Point, pool: Executor, version: str, points: Sequence[Point]
) -> dict[Point, int]:
    region = Region(server, version, edge, pool)
    region.read({region.block_of(point) for point in points})
    return {point: elements_digest(region.at(point)) for point in points}


def why_left_alone(points: Sequence[Point], why: str) -> str:
    """For people."""
    more = f" and {len(points) - _NAMED:,} more" if len(points) > _NAMED else ""
    return f"elements at {', '.join(map(str, points[:_NAMED]))}{more}: {why}"


def item_of(point: Point) -> int:
    """What tells a point apart."""
    return hashed(b"%d,%d,%d" % point)


def elements_digest(elements: Sequence[Element]) -> int:
    """Of all elements at a point."""
    return hashed(_text_of(elements)) if elements else NOTHING


def _text_of(elements: Sequence[Element]) -> bytes:
    return b"\n".join(sorted(canonical(_plain(element)) for element in elements))


def _plain(element: Element) -> Element:
    """Tags are a set, and an absent one is an empty one."""
    tags, properties = sorted(element.get("Tags") or (), key=str), element.get("Prop") or {}
    return {**element, "Tags": tags, "Prop": properties, "Rels": None}


def digests(side: DvidSide, most_bytes: int) -> dict[int, int] | None:
    """Of all points with elements; None if these are more than `most_bytes`."""
    found: dict[int, int] = {}
    size = 0
    path = node_path(side.version, side.name, "all-elements")
    with side.client.stream(path) as pieces:
        for block, elements in object_fields(pieces, f"GET {path}"):
            at: dict[Point, list[Element]] = {}
            for element in elements or ():
                try:
                    at.setdefault(position(element), []).append(element)
                except (AttributeError, ValueError) as error:
                    raise ServerFailed(
                        f"GET {path}", f"block {block[:40]!r} has no elements: {error}"
                    ) from None
            for point, own in at.items():
                text = _text_of(own)
                size += len(text)
                found[item_of(point)] = hashed(text)
            if size > most_bytes:
                return None
    return found
