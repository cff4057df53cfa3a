"""Random work of each kind that a snapshot follows by what the source holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from dvidsync_dagster.events.event import Event
from tests.datatypes.source_log import LABELS, NEURONS, SYNAPSES, SourceLog, element

ODD_KEYS = [
    b"a", b"b", b"c d#?%+", "é/日本".encode(), b"x/y", b"x/y/", b"a/", b"nul\0", b"\xff\xfe", b"a\xe9b",
    b"a\xffb", "a\ufffdb".encode(), "\ufffd".encode(), "\ufffde9".encode(), "é".encode() + b"\x80",
    b"n" * 5000,
]  # fmt: skip
VALUES = [b"", b"{}", b'{"a": 1}', b"[1, 2", b"\xff\xfe", b"7", b"null", '"é"'.encode(), b"v" * 300]

FIELDS = ("status", "size", "flag", "score", "place", "tags", "any", "Status", "cell body", "json", "body_1")
FIELD_VALUES: Sequence[Any] = (
    "Traced", "", 5, -5, 2**53 + 1, 2**63, 2**64 - 1, 1.5, True, False, [], [1, 2, 3], ["a", "b"], [1, "a"],
    {"a": [1]}, "é\u2028", 1e300, [1.5],
)  # fmt: skip

KINDS = ("PostSyn", "PreSyn", "Gap", "Note")


def edit_keys(log: SourceLog, random: Random, count: int) -> None:
    for _ in range(count):
        key, value = random.choice(ODD_KEYS), random.choice(VALUES)
        in_path = b"/" not in key
        if in_path and random.random() < 0.3:
            log.delete_key(key)
        elif in_path and (random.random() < 0.5 or not _is_utf8(key)):
            log.put_key(key, value)
        else:
            log.put_keys((key.decode(), value), (f"many {random.randrange(20)}", value))


def edit_neurons(log: SourceLog, random: Random, count: int, values: Sequence[Any] = FIELD_VALUES) -> None:
    """Whatever a field can hold; no deletes, which the log does not tell of."""
    for _ in range(count):
        body = random.choice([random.randint(1, 12), 2**53 + 1, 2**63 - 1])
        fields = {name: random.choice(values) for name in random.sample(FIELDS, random.randint(0, 4))}
        replaces = {"replace": "true"} if random.random() < 0.5 else {}
        log.post(f"{NEURONS}/key/{body}", {"bodyid": body, **fields}, **replaces)


def edit_elements(log: SourceLog, random: Random, count: int) -> None:
    """Posts, moves, deletes, replaced blocks, several elements at one point, relations in all directions."""
    for _ in range(count):
        there = [tuple(each["Pos"]) for each in _elements(log)]
        roll = random.random()
        if there and roll < 0.15:
            log.delete(f"{SYNAPSES}/element/{_underlined(random.choice(there))}")
        elif there and roll < 0.35:
            source, target = random.choice(there), _point(random)
            log.post(f"{SYNAPSES}/move/{_underlined(source)}/{_underlined(target)}")
        elif roll < 0.45:
            block = (random.randint(-1, 1), random.randint(0, 1), 0)
            points = [_in_block(random, block) for _ in range(random.randint(0, 3))]
            log.post(
                f"{SYNAPSES}/blocks",
                {",".join(map(str, block)): [_random(random, at, there) for at in points]},
            )
        else:
            points = [_point(random) for _ in range(random.randint(1, 4))]
            if random.random() < 0.2:
                points.append(points[0])
            # DVID panics where one element gets a tag that another one loses.
            tags = random.sample(["a", "b", "c"], random.randint(0, 2))
            log.put_elements(*({**_random(random, at, [*there, *points]), "Tags": tags} for at in points))


def split_some(log: SourceLog, random: Random, count: int) -> None:
    """Supervoxels are split, where most of the elements are."""
    for _ in range(count):
        points = [tuple(each["Pos"]) for each in _elements(log)] + [_point(random)]
        found = log.get(f"{LABELS}/labels", points, supervoxels="true")
        supervoxels = [each for each in dict.fromkeys(found) if each and len(log.runs(each)) > 1]
        if supervoxels:
            log.split_supervoxel(random.choice(supervoxels), random)


def in_pieces(events: Sequence[Event], random: Random) -> Iterator[Sequence[Event]]:
    """Cut at random."""
    cuts = sorted(random.randint(0, len(events)) for _ in range(random.randint(0, 5)))
    for start, end in zip([0, *cuts], [*cuts, len(events)], strict=True):
        yield events[start:end]


def _is_utf8(key: bytes) -> bool:
    try:
        key.decode()
    except UnicodeDecodeError:
        return False
    return True


def _elements(log: SourceLog) -> list[Any]:
    return [each for found in log.get(f"{SYNAPSES}/all-elements").values() for each in found or ()]


def _random(random: Random, at: tuple[int, int, int], others: Sequence[tuple[int, ...]]) -> Any:
    ends = random.sample(list(others), min(len(others), random.randint(0, 2)))
    return {
        **element(*at),
        "Kind": random.choice(KINDS),
        "Prop": {name: str(random.randrange(9)) for name in random.sample(["conf", "user", "é"], 2)},
        "Rels": [{"Rel": random.choice(["PreSynTo", "GroupedWith"]), "To": end} for end in ends],
    }


def _point(random: Random) -> tuple[int, int, int]:
    return random.randint(-20, 90), random.choice([3, 20, 40]), random.choice([5, 40])


def _in_block(random: Random, block: tuple[int, int, int]) -> tuple[int, int, int]:
    x, y, z = (64 * each + random.choice([3, 20, 63]) for each in block)
    return x, y, z


def _underlined(point: tuple[int, ...]) -> str:
    return "_".join(map(str, point))
