"""Annotation instances: their elements, in whatever order."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator
from typing import Any

from dvidsync_dagster.compare.digest import Page, Wanted, hashed, named
from dvidsync_dagster.compare.items import Found, Kind, Pair, Side, find, gathered
from dvidsync_dagster.compare.neuronjson import canonical
from dvidsync_dagster.dvid.json_stream import object_fields
from dvidsync_dagster.dvid.paths import node_path
from dvidsync_dagster.errors import ServerFailed

Position = tuple[int, int, int]
"""x, y, z of an element, in voxels."""
Element = dict[str, Any]

_PER_PAGE = 5_000


def read_elements(side: Side) -> Iterator[tuple[Position, Element]]:
    """All elements, as the server holds them."""
    path = node_path(side.version, side.name, "all-elements")
    with side.client.stream(path) as pieces:
        for _block, elements in object_fields(pieces, f"GET {path}"):
            for element in elements or ():
                yield _position(path, element), element


def _position(path: str, element: Any) -> Position:
    position = element.get("Pos") if isinstance(element, dict) else None
    if (
        not isinstance(position, list)
        or len(position) != 3
        or not all(type(each) is int for each in position)
    ):
        raise ServerFailed(f"GET {path}", f"lists {str(element)[:200]}, which has no position")
    return position[0], position[1], position[2]


def element_pages(side: Side, _wanted: Wanted | None) -> Iterator[Page]:
    """Positions with hashes of the elements there."""
    positions: list[Position] = []
    values: list[int] = []
    for position, element in read_elements(side):
        positions.append(position)
        values.append(hashed(canonical(plain(element))))
        if len(positions) == _PER_PAGE:
            yield _page(positions, values)
            positions, values = [], []
    yield _page(positions, values)


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


ELEMENTS = Kind("elements", "elements that differ", element_pages)


def compare_annotation(pair: Pair) -> tuple[list[Found], int]:
    """What differs in one version, and how many elements the source has."""
    return gathered([find(ELEMENTS, pair)])


def related(pair: Pair, positions: Collection[Position], ends: Collection[Hashable]) -> set[Position]:
    """Those of the positions whose elements have, on either side, a relation to one of the ends."""
    return {
        position
        for side in (pair.source, pair.copy)
        for position, element in read_elements(side)
        if position in positions and any(_end(relation) in ends for relation in element.get("Rels") or ())
    }


def _end(relation: Any) -> Hashable:
    end = relation.get("To") if isinstance(relation, dict) else None
    return tuple(end) if isinstance(end, list) else None
