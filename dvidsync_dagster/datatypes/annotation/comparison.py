"""Annotation instances: their elements, in whatever order."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from dvidsync_dagster.datatypes.annotation.commands import place_of
from dvidsync_dagster.datatypes.annotation.events import (
    DeleteElement,
    ElementEvent,
    MoveElement,
    PostBlocks,
    PostElements,
)
from dvidsync_dagster.datatypes.annotation.touched_positions import TouchedPositions
from dvidsync_dagster.datatypes.contract import DataComparison
from dvidsync_dagster.differences.digest import Page, Wanted, named
from dvidsync_dagster.differences.hashes import canonical, hashed
from dvidsync_dagster.differences.items import Found, Pair, find, gathered
from dvidsync_dagster.differences.sides import DvidSide, Kind
from dvidsync_dagster.differences.touched import Touched
from dvidsync_dagster.dvid.annotation import Annotation
from dvidsync_dagster.dvid.json_stream import object_fields
from dvidsync_dagster.dvid.paths import node_path
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.errors import RequestRefused, ServerFailed
from dvidsync_dagster.events.event import Event

Position = tuple[int, int, int]
"""x, y, z of an element, in voxels."""
Element = dict[str, Any]

_PER_PAGE = 5_000


def read_blocks(side: DvidSide) -> Iterator[tuple[str, list[tuple[Position, Element]]]]:
    """All elements, block by block, as the server holds them; blocks by their names."""
    path = node_path(side.version, side.name, "all-elements")
    with side.client.stream(path) as pieces:
        for block, found in object_fields(pieces, f"GET {path}"):
            if not isinstance(found, list | None):
                raise ServerFailed(f"GET {path}", f"has no list of elements in block {block[:40]!r}")
            yield block, [(_position(path, element), element) for element in found or ()]


def read_elements(side: DvidSide) -> Iterator[tuple[Position, Element]]:
    """All elements, as the server holds them."""
    for _block, found in read_blocks(side):
        yield from found


def _position(path: str, element: Any) -> Position:
    position = element.get("Pos") if isinstance(element, dict) else None
    if (
        not isinstance(position, list)
        or len(position) != 3
        or not all(type(each) is int for each in position)
    ):
        raise ServerFailed(f"GET {path}", f"lists {str(element)[:200]}, which has no position")
    return position[0], position[1], position[2]


def element_pages(side: DvidSide, _wanted: Wanted | None) -> Iterator[Page]:
    """Positions with hashes of the elements there."""
    return pages_of(read_elements(side))


def pages_of(found: Iterable[tuple[Position, Element]]) -> Iterator[Page]:
    """The same of elements from elsewhere."""
    coming = iter(found)
    while batch := list(islice(coming, _PER_PAGE)):
        values = [hashed(canonical(plain(element))) for _, element in batch]
        yield _page([position for position, _ in batch], values)


def _page(positions: list[Position], values: list[int]) -> Page:
    return named(positions, (b"%d,%d,%d" % position for position in positions), values)


def plain(element: Element) -> Element:
    """Tags and relations are sets, and an absent one is an empty one."""
    return {
        **element,
        "Tags": sorted(element.get("Tags") or (), key=str),
        "Rels": sorted(element.get("Rels") or (), key=str),
        "Prop": element.get("Prop") or {},
    }


ELEMENTS = Kind("elements", "elements that differ", element_pages, records=read_elements)


class AnnotationComparison(DataComparison):
    """Elements with their tags, properties and relations."""

    def items(self, pair: Pair, *, lower_scales: bool) -> tuple[list[Found], int]:
        return gathered([find(ELEMENTS, pair)])

    def touch(self, event: Event, touched: Touched, source: Transport) -> None:
        place = (event.instance, event.version)
        if not isinstance(event, ElementEvent):
            touched.whole.add(place)
            return
        content = _posted(event, source)
        found = TouchedPositions()
        if content is not None:
            found.add(0, place_of(event), content)
        touched.add_items(*place, found.points)
        if content is None or found.blocks or found.refusals:
            touched.whole.add(place)
        if isinstance(event, DeleteElement | MoveElement):
            touched.add_tied_to(*place, found.points)

    def tied(
        self, found: Found, pair: Pair, touched: Touched, versions: Collection[str]
    ) -> npt.NDArray[np.bool_]:
        """Elements that differ in their relations to one that was deleted or moved."""
        keys = found.keys.tolist()
        ends = touched.ends(pair.source.name, versions)
        tied = _related(pair, set(keys), ends) if ends and found.kind is ELEMENTS else set()
        return np.fromiter((key in tied for key in keys), bool, len(keys))


def _posted(event: ElementEvent, source: Transport) -> bytes | None:
    """What was posted, by the source's blob store: nothing by a delete or a move; None if it does not say."""
    if not isinstance(event, PostElements | PostBlocks):
        return b""
    try:
        return Annotation(source, event.instance).blob(event.version, event.data_ref)
    except RequestRefused:
        return None


def _related(pair: Pair, positions: Collection[Position], ends: Collection[Hashable]) -> set[Position]:
    """Those of the positions whose elements have, on either side, a relation to one of the ends."""
    return {
        position
        for side in (pair.source, pair.destination)
        for position, element in side.records(ELEMENTS)
        if position in positions and any(_end(relation) in ends for relation in element.get("Rels") or ())
    }


def _end(relation: Any) -> Hashable:
    end = relation.get("To") if isinstance(relation, dict) else None
    return tuple(end) if isinstance(end, list) else None
