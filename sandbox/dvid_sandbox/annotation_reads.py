"""What can be read of an annotation instance."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dvid_sandbox import elements as el
from dvid_sandbox.blocks import zyx
from dvid_sandbox.elements import Element, partner_of, point_of
from dvid_sandbox.exchange import Answer, Exchange, Refused
from dvid_sandbox.golang import go_json
from dvid_sandbox.instance import Place
from dvid_sandbox.reading import Point, read_point, read_uint

if TYPE_CHECKING:
    from dvid_sandbox.annotation import Annotation


def region(annotation: Annotation, exchange: Exchange, place: Place) -> Answer:
    """GET elements: those in a box."""
    low, high = _extents(exchange)
    found = [
        each
        for block, listed in _blocks(annotation, place)
        if _touches(block, annotation.block_of(low), annotation.block_of(high))
        for each in listed
        if all(low[axis] <= each["Pos"][axis] <= high[axis] for axis in range(3))
    ]
    return Answer.json(go_json(found or None))


def blocks(annotation: Annotation, exchange: Exchange, place: Place) -> Answer:
    """GET blocks: all elements of the blocks that a box touches."""
    low, high = _extents(exchange)
    return _streamed(
        annotation, place, lambda block: _touches(block, annotation.block_of(low), annotation.block_of(high))
    )


def all_elements(annotation: Annotation, exchange: Exchange, place: Place) -> Answer:
    _only_get(exchange, "Only GET is available on 'all-elements' endpoint.")
    if len(exchange.parts) > 4:
        raise Refused("Do not expect additional parameters after 'all-elements' in GET request")
    return _streamed(annotation, place, lambda _: True)


def scan(annotation: Annotation, exchange: Exchange, place: Place) -> Answer:
    """How many blocks are stored."""
    _only_get(exchange, "Only GET is available on 'scan' endpoint.")
    if len(exchange.parts) > 4:
        raise Refused("Do not expect additional parameters after 'scan' in GET request")
    number = len(annotation.blocks.items(place.version))
    return Answer.json(f'{{"num kv pairs":{number},"num empty blocks":0}}')


def of_label(annotation: Annotation, exchange: Exchange, place: Place) -> Answer:
    _only_get(exchange, "Only GET action is available on 'label' endpoint.")
    if len(exchange.parts) < 5:
        raise Refused("Must include label after 'label' endpoint.")
    label = read_uint(exchange.parts[4])
    if label == 0:
        raise Refused("Label 0 is protected background value and cannot be used for query.")
    return _related(annotation, exchange, place, annotation.by_label.get(place.version, label) or [])


def of_tag(annotation: Annotation, exchange: Exchange, place: Place) -> Answer:
    _only_get(exchange, "Only GET action is available on 'tag' endpoint.")
    if len(exchange.parts) < 5:
        raise Refused("Must include tag string after 'tag' endpoint.")
    tag = exchange.parts[4]
    found = [
        el.without_relations(each)
        for _, listed in annotation.blocks.items(place.version).items()
        for each in listed
        if tag in (each["Tags"] or [])
    ]
    return _related(annotation, exchange, place, found)


def _related(annotation: Annotation, exchange: Exchange, place: Place, found: list[Element]) -> Answer:
    """Elements without relations, with them, or with the partners' properties: ``relationships=`` tells."""
    form = exchange.query.get("relationships")
    if form not in ("true", "verbose"):
        return Answer.json(go_json(found))
    whole = [_stored(annotation, place, point_of(each)) for each in found]
    if form == "true":
        return Answer.json(go_json([each for each in whole if each is not None]))
    return Answer.json(
        go_json(
            [
                {**each, "Rels": [] if full is None else _told_partners(annotation, place, full)}
                for each, full in zip(found, whole, strict=True)
            ]
        )
    )


def _stored(annotation: Annotation, place: Place, point: Point) -> Element | None:
    """The element at a place, with its relations."""
    listed = annotation.blocks.get(place.version, annotation.block_of(point)) or []
    return next((each for each in listed if point_of(each) == point), None)


def _told_partners(annotation: Annotation, place: Place, element: Element) -> list[dict[str, Any]]:
    told = []
    for relation in element["Rels"] or []:
        partner = _stored(annotation, place, partner_of(relation))
        known = {} if partner is None else {key: partner[key] for key in ("Kind", "Tags", "Prop")}
        if known.get("Kind") == "Unknown":
            del known["Kind"]
        told.append({**relation, **{key: value for key, value in known.items() if value}})
    return told


def _only_get(exchange: Exchange, complaint: str) -> None:
    if exchange.method != "GET":
        raise Refused(complaint)


def _blocks(annotation: Annotation, place: Place) -> list[tuple[Point, list[Element]]]:
    return sorted(annotation.blocks.items(place.version).items(), key=lambda item: zyx(item[0]))


def _streamed(annotation: Annotation, place: Place, wanted: Callable[[Point], bool]) -> Answer:
    entries = [
        b'"%d,%d,%d":' % block + go_json(found)
        for block, found in _blocks(annotation, place)
        if wanted(block)
    ]
    return Answer.json(b"{" + b",".join(entries) + b"}")


def _extents(exchange: Exchange) -> tuple[Point, Point]:
    """First and last voxel of ``size/offset``."""
    if len(exchange.parts) < 6:
        raise Refused(f"Expect size and offset to follow '{exchange.parts[3]}' in GET request")
    size, low = read_point(exchange.parts[4]), read_point(exchange.parts[5])
    return low, (low[0] + size[0] - 1, low[1] + size[1] - 1, low[2] + size[2] - 1)


def _touches(block: Point, first: Point, last: Point) -> bool:
    return all(first[axis] <= block[axis] <= last[axis] for axis in range(3))
