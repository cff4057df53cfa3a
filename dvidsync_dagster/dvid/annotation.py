"""The annotation requests that a destination needs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from dvidsync_dagster.dvid.paths import node_path
from dvidsync_dagster.dvid.transport import BINARY, Transport
from dvidsync_dagster.errors import RequestRefused, ServerFailed
from dvidsync_dagster.refusal_reason import RefusalReason

Point = tuple[int, int, int]
"""x, y, z in voxels."""

Element = dict[str, Any]
"""As DVID writes it: ``Pos``, ``Kind``, ``Tags``, ``Prop``, ``Rels``."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotation instance of one server. Methods take the version's UUID first and raise what
    `Transport` raises."""

    client: Transport
    name: str

    def elements(self, version: str, offset: Point, size: Point) -> list[Element]:
        """The elements within a box, relations included."""
        path = node_path(version, self.name, "elements", _text(size), _text(offset))
        found = self.client.read_json(path)
        if found is None:
            return []
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise ServerFailed(f"GET {path}", "is no list of elements")
        return found

    def post(self, version: str, elements: Sequence[Element], *, user: str | None) -> None:
        """Add elements, or replace those at the same positions. If it is refused, some may be posted."""
        path = node_path(version, self.name, "elements")
        for some in _by_tags(elements):
            self.client.change("POST", path, body=orjson.dumps(some), user=user)

    def delete(self, version: str, point: Point, *, user: str | None) -> bool:
        """Delete the element at a point, and the relations to it; False if there is none."""
        try:
            self.client.change("DELETE", node_path(version, self.name, "element", _text(point)), user=user)
        except RequestRefused as refusal:
            if refusal.reason is RefusalReason.NO_ELEMENT:
                return False
            raise
        return True

    def blob(self, version: str, reference: str) -> bytes:
        return self.client.read(node_path(version, self.name, "blobstore", reference), kind=BINARY)


def _by_tags(elements: Iterable[Element]) -> Collection[list[Element]]:
    """Elements that can come in one request: those with the same tags. DVID panics where one element gets a
    tag that another one loses. What is at one point stays together, or one would replace the other."""
    points: dict[Point, list[Element]] = {}
    for element in elements:
        points.setdefault(position(element), []).append(element)
    groups: dict[tuple[tuple[str, ...], ...], list[Element]] = {}
    for own in points.values():
        tags = sorted({tuple(sorted(element.get("Tags") or ())) for element in own})
        groups.setdefault(tuple(tags), []).extend(own)
    return groups.values()


def position(element: Element) -> Point:
    """Where an element is.

    Raises:
        ValueError: it has no position.
    """
    # Go reads field names in any case, and takes what is missing for 0.
    given = element.get("Pos")
    if given is None:
        given = next((value for name, value in element.items() if name.lower() == "pos"), None) or []
    return point([*given, 0, 0, 0][:3])


def point(numbers: Any) -> Point:
    """Three coordinates of 32 bits.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(numbers, list) or len(numbers) != 3:
        raise ValueError("no list of three numbers")
    for number in numbers:
        if type(number) is not int or not -(2**31) <= number < 2**31:
            raise ValueError("a point with what is no whole number of 32 bits")
    return numbers[0], numbers[1], numbers[2]


def related(element: Element) -> list[Point]:
    """The points that an element's relations lead to."""
    return [point(relation["To"]) for relation in element.get("Rels") or ()]


def _text(numbers: Point) -> str:
    return "_".join(map(str, numbers))
