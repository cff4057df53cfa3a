"""Annotation elements as DVID reads and writes them."""

from __future__ import annotations

import re
from typing import Any

from dvid_sandbox.exchange import Refused
from dvid_sandbox.reading import Point, read_json

Element = dict[str, Any]
"""Keys in this order: Pos [x, y, z], Kind, Tags, Prop, Rels; the last three can be None."""

KINDS = ("Unknown", "PostSyn", "PreSyn", "Gap", "Note")
RELATIONS = ("UnknownRelationship", "PostSynTo", "PreSynTo", "ConvergentTo", "GroupedWith")
_COMPLAINT = "json: cannot unmarshal into Go value of type annotation.Element"


def point_of(element: Element) -> Point:
    x, y, z = element["Pos"]
    return x, y, z


def partner_of(relation: dict[str, Any]) -> Point:
    """Where a relation leads to."""
    x, y, z = relation["To"]
    return x, y, z


def read_elements(body: bytes) -> list[Element]:
    """A posted list of elements.

    Raises:
        Refused: it is none.
    """
    return _elements(read_json(body, "json"))


def read_block_elements(body: bytes) -> dict[Point, list[Element]]:
    """Posted elements by block coordinates."""
    value = read_json(body, "json")
    if not isinstance(value, dict):
        raise Refused(_COMPLAINT)
    blocks = {}
    for key, elements in value.items():
        # What comes after the third number does not count.
        match = _BLOCK.match(key)
        if match is None:
            raise Refused("expected integer")
        x, y, z = map(int, match.groups())
        blocks[x, y, z] = _elements(elements)
    return blocks


_BLOCK = re.compile(r"\s*([+-]?\d+),\s*([+-]?\d+),\s*([+-]?\d+)", re.ASCII)


def without_relations(element: Element) -> Element:
    return {key: element[key] for key in ("Pos", "Kind", "Tags", "Prop")}


def copied(element: Element) -> Element:
    """A copy; what was None becomes empty, as in DVID."""
    result: Element = {
        "Pos": list(element["Pos"]),
        "Kind": element["Kind"],
        "Tags": list(element["Tags"] or []),
        "Prop": dict(element["Prop"] or {}),
    }
    if "Rels" in element:
        result["Rels"] = [dict(each) for each in element["Rels"] or []]
    return result


def add(elements: list[Element], added: list[Element]) -> None:
    """Adds elements, or replaces those at the same place."""
    places = {tuple(element["Pos"]): number for number, element in enumerate(elements)}
    for element in added:
        number = places.get(tuple(element["Pos"]))
        if number is None:
            elements.append(copied(element))
        else:
            elements[number] = element


def lost_tags(elements: list[Element], added: list[Element]) -> set[str]:
    """The tags that elements do not have anymore once others are in their places."""
    new = {tuple(each["Pos"]): set(each["Tags"] or []) for each in added}
    return {
        tag
        for each in elements
        for tag in each["Tags"] or []
        if tag not in new.get(tuple(each["Pos"]), {tag})
    }


def remove(elements: list[Element], point: Point) -> Element | None:
    """Takes out the element at a place; the last one moves into its gap, as in DVID."""
    for number, element in enumerate(elements):
        if tuple(element["Pos"]) == point:
            elements[number] = elements[-1]
            elements.pop()
            return element
    return None


def remove_relations(elements: list[Element], point: Point) -> bool:
    """Takes out what points to a place; says whether there was anything."""
    changed = False
    for number, element in enumerate(elements):
        kept = [each for each in element["Rels"] or [] if tuple(each["To"]) != point]
        if len(kept) != len(element["Rels"] or []):
            elements[number] = {**element, "Rels": kept}
            changed = True
    return changed


def move(elements: list[Element], source: Point, target: Point, leaves: bool) -> tuple[Element | None, bool]:
    """Moves an element, and what points to it; gives the moved element and whether anything changed.

    Args:
        leaves: the element goes to another block, so take it out here.
    """
    moved, changed = None, False
    for number, element in enumerate(elements):
        if tuple(element["Pos"]) == source:
            elements[number] = {**element, "Pos": list(target)}
            moved, changed = copied(elements[number]), True
            if leaves:
                elements[number] = elements[-1]
                elements.pop()
                break
    for number, element in enumerate(elements):
        if any(tuple(each["To"]) == source for each in element["Rels"] or []):
            relations = [
                {**each, "To": list(target)} if tuple(each["To"]) == source else each
                for each in element["Rels"]
            ]
            elements[number] = {**element, "Rels": relations}
            changed = True
    return moved, changed


def _elements(value: Any) -> list[Element]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise Refused(_COMPLAINT)
    return [_element(each) for each in value]


def _element(value: Any) -> Element:
    value = {} if value is None else value
    if not isinstance(value, dict):
        raise Refused(_COMPLAINT)
    kind = value.get("Kind", "Unknown")
    if kind not in KINDS:
        raise Refused(f'Unknown element type in JSON: "{kind}"')
    tags, properties, relations = value.get("Tags"), value.get("Prop"), value.get("Rels")
    if tags is not None and not (isinstance(tags, list) and all(isinstance(each, str) for each in tags)):
        raise Refused(_COMPLAINT)
    if properties is not None and not (
        isinstance(properties, dict) and all(isinstance(each, str) for each in properties.values())
    ):
        raise Refused(_COMPLAINT)
    return {
        "Pos": _point(value.get("Pos", [0, 0, 0])),
        "Kind": kind,
        "Tags": tags,
        "Prop": None if properties is None else dict(sorted(properties.items())),
        "Rels": None if relations is None else [_relation(each) for each in relations],
    }


def _relation(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refused(_COMPLAINT)
    relation = value.get("Rel", "UnknownRelationship")
    if relation not in RELATIONS:
        raise Refused(f'Unknown relationship type in JSON: "{relation}"')
    return {"Rel": relation, "To": _point(value.get("To", [0, 0, 0]))}


def _point(value: Any) -> list[int]:
    if not isinstance(value, list) or not all(type(each) is int and abs(each) < 2**31 for each in value):
        raise Refused(_COMPLAINT)
    return [*value, 0, 0, 0][:3]
