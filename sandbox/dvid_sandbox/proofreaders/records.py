"""Work on keyvalue, neuronjson and annotation instances."""

from __future__ import annotations

from typing import Any

import orjson

from dvid_sandbox.proofreaders.client import REFUSED
from dvid_sandbox.proofreaders.person import Person
from dvid_sandbox.proofreaders.repo import BLOCK
from dvid_sandbox.proofreaders.workplace import Point

ODD_KEYS = (
    "a b",
    "a#b",
    "why?",
    "100%",
    "%2F",
    "a+b",
    "ü-€",
    "日本",
    "a&b=c",
    'quo"te',
    "back\\slash",
    "a;b",
)
STATUSES = ("Traced", "Roughly traced", "Orphan", "Leaves", "Anchor", "")
FIELDS = ("status", "type", "instance", "class", "soma_side")
KINDS = ("PostSyn", "PreSyn", "Gap", "Note")
BLOCKS_ACROSS = 2
"""How many blocks a person's annotations reach along y and z."""


def post_key(person: Person) -> None:
    """A status for a body, or something odd under an odd key."""
    with person.workplace.writing_keys:
        _post_key(person)


def _post_key(person: Person) -> None:
    instance = person.instance("keyvalue")
    if person.random.random() < 0.8:
        bodies = person.pool.take(person.random)
        if not bodies:
            return
        several = bodies[0] in person.pool.several
        key = str(bodies[0])
        value = orjson.dumps({"status": person.random.choice(STATUSES), "i": person.random.randrange(10**6)})
        person.post(person.path(instance, "key", key), value)
        person.pool.give(bodies[0], several=several)
    else:
        key = _odd_key(person)
        value = person.random.choice((b"", person.random.randbytes(person.random.randint(1, 3000))))
        person.post(person.path(instance, "key", key), value)
    person.traces.keys.append((instance, key))


def delete_key(person: Person) -> None:
    """One that was written, or was deleted since; or one that never was."""
    with person.workplace.writing_keys:
        _delete_key(person)


def _delete_key(person: Person) -> None:
    written = [each for each in person.traces.keys if each[0] in person.workplace.instances["keyvalue"]]
    if written and person.random.random() < 0.9:
        instance, key = person.random.choice(written)
    else:
        instance, key = person.instance("keyvalue"), f"never {_odd_key(person)}"
    person.delete(person.path(instance, "key", key))


def post_neuron(person: Person) -> None:
    """Some fields; the others stay."""
    _post_neuron(person, {})


def replace_neuron(person: Person) -> None:
    """All fields; the others go."""
    _post_neuron(person, {"replace": "true"})


def delete_neuron(person: Person) -> None:
    with person.workplace.writing_keys:
        _delete_neuron(person)


def _delete_neuron(person: Person) -> None:
    bodies = person.pool.take(person.random)
    if bodies:
        several = bodies[0] in person.pool.several
        instance = person.instance("neuronjson")
        written = [key for name, key in person.traces.keys if name == instance]
        key = person.random.choice(written) if written else str(bodies[0])
        person.delete(person.path(instance, "key", key))
        person.pool.give(bodies[0], several=several)


def nameless_neuron(person: Person) -> None:
    """Without a user: refused, and published."""
    bodies = person.pool.take(person.random)
    if bodies:
        several = bodies[0] in person.pool.several
        path = person.path(person.instance("neuronjson"), "key", bodies[0])
        person.post(path, {"bodyid": bodies[0], "status": "lost"}, meant=REFUSED, nameless=True)
        person.pool.give(bodies[0], several=several)


def post_elements(person: Person) -> None:
    instance = person.instance("annotation")
    elements = _elements(person, instance, person.random.randint(1, 4))
    person.post(person.path(instance, "elements"), elements)


def silent_elements(person: Person) -> None:
    """With `kafkalog=off`: no message tells."""
    instance = person.instance("annotation")
    person.post(person.path(instance, "elements"), _elements(person, instance, 1), query={"kafkalog": "off"})


def move_element(person: Person) -> None:
    element = _taken_element(person)
    if element is not None:
        instance, point = element
        to = _point(person)
        if person.post(person.path(instance, "move", _underlined(point), _underlined(to))).meant:
            person.traces.points.append((instance, to))


def delete_element(person: Person) -> None:
    element = _taken_element(person)
    if element is not None:
        instance, point = element
        person.delete(person.path(instance, "element", _underlined(point)))


def post_blocks(person: Person) -> None:
    """All elements of one block, in place of those that were there."""
    instance = person.instance("annotation")
    block = _block(_point(person))
    person.traces.points[:] = [
        (name, point) for name, point in person.traces.points if name != instance or _block(point) != block
    ]
    points = _free_points(person, instance, person.random.randint(1, 3), block)
    person.post(
        person.path(instance, "blocks"),
        {",".join(map(str, block)): [_element(person, point, None) for point in points]},
    )
    person.traces.points.extend((instance, point) for point in points)


def refused_delete_element(person: Person) -> None:
    person.delete(
        person.path(person.instance("annotation"), "element", _underlined(_nowhere(person))), meant=REFUSED
    )


def refused_move_element(person: Person) -> None:
    path = person.path(
        person.instance("annotation"), "move", _underlined(_nowhere(person)), _underlined(_point(person))
    )
    person.post(path, meant=REFUSED)


def _post_neuron(person: Person, query: dict[str, str]) -> None:
    with person.workplace.writing_keys:
        _write_neuron(person, query)


def _write_neuron(person: Person, query: dict[str, str]) -> None:
    bodies = person.pool.take(person.random)
    if not bodies:
        return
    several = bodies[0] in person.pool.several
    instance = person.instance("neuronjson")
    fields: dict[str, Any] = {
        name: f"v{person.random.randrange(100)}"
        for name in person.random.sample(FIELDS, person.random.randint(1, 3))
    }
    if person.random.random() < 0.2:
        fields["position"] = [person.random.randrange(1000) for _ in range(3)]
    person.post(person.path(instance, "key", bodies[0]), {"bodyid": bodies[0], **fields}, query=query)
    person.traces.keys.append((instance, str(bodies[0])))
    person.pool.give(bodies[0], several=several)


def _odd_key(person: Person) -> str:
    return f"{person.random.choice(ODD_KEYS)} {person.number}"


def _elements(person: Person, instance: str, count: int) -> list[dict[str, Any]]:
    points = _free_points(person, instance, count, None)
    person.traces.points.extend((instance, point) for point in points)
    related: list[Point | None] = [None, *points]
    return [_element(person, point, related[index]) for index, point in enumerate(points)]


def _element(person: Person, point: Point, related: Point | None) -> dict[str, Any]:
    return {
        "Pos": point,
        "Kind": person.random.choice(KINDS),
        "Tags": [f"t{person.random.randrange(3)}"] if person.random.random() < 0.5 else [],
        "Prop": {"user": person.name, "conf": f"{person.random.random():.2f}"},
        "Rels": [{"Rel": "GroupedWith", "To": related}] if related else [],
    }


def _free_points(person: Person, instance: str, count: int, block: Point | None) -> list[Point]:
    """Points where this person has no element yet."""
    taken = {point for name, point in person.traces.points if name == instance}
    found: list[Point] = []
    while len(found) < count:
        point = _point(person)
        if block is not None:
            x, y, z = (start * BLOCK + each % BLOCK for start, each in zip(block, point, strict=True))
            point = (x, y, z)
        if point not in taken:
            taken.add(point)
            found.append(point)
    return found


def _point(person: Person) -> Point:
    """Somewhere in the blocks of this person: one across, some deep."""
    return (
        person.number * BLOCK + person.random.randrange(BLOCK),
        person.random.randrange(BLOCKS_ACROSS * BLOCK),
        person.random.randrange(BLOCKS_ACROSS * BLOCK),
    )


def _block(point: Point) -> Point:
    x, y, z = (each // BLOCK for each in point)
    return x, y, z


def _nowhere(person: Person) -> Point:
    return 900_000 + person.number, person.random.randrange(1000), 7


def _taken_element(person: Person) -> tuple[str, Point] | None:
    if not person.traces.points:
        return None
    return person.traces.points.pop(person.random.randrange(len(person.traces.points)))


def _underlined(point: Point) -> str:
    return "_".join(map(str, point))
