"""What people do: requests to one version, the same ones each time."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from benchmarks.source import LABELMAP

BODIES = 400
"""Into which people merge; bodies 1 to this."""
CLEAVES = 0.3
NEURONS = 50
"""Bodies into which an agglomeration merges."""
POSTS_PER_KEY = 10
HOT_KEYS, HOT_POSTS = 0.05, 0.8
"""Of the keys, and the share of all posts that goes to them."""
ACROSS = 512
"""Voxels along each side of the place where people put elements."""
STATUSES = ("Traced", "Roughly traced", "Orphan", "Leaves", "Anchor")

Operation = tuple[str, Any]
"""The path behind the version, and the body."""


def labels(count: int, cleaves: float = CLEAVES) -> Iterator[Operation]:
    """Merges of supervoxels into a few hundred bodies, and cleaves of what was merged: such a share."""
    random = Random(1)
    free = list(range(BODIES + 1, BODIES + count + 1))
    random.shuffle(free)
    members: dict[int, list[int]] = {body: [] for body in range(1, BODIES + 1)}
    for _ in range(count):
        body = random.randrange(1, BODIES + 1)
        if members[body] and random.random() < cleaves:
            cleaved = members[body].pop(random.randrange(len(members[body])))
            yield f"{LABELMAP}/cleave/{body}", [cleaved]
        else:
            members[body].append(free.pop())
            yield f"{LABELMAP}/merge", [body, members[body][-1]]


def agglomeration(count: int) -> Iterator[Operation]:
    """Merges of supervoxels into few bodies, which become large."""
    random = Random(1)
    for number in range(count):
        yield f"{LABELMAP}/merge", [random.randrange(1, NEURONS + 1), NEURONS + 1 + number]


def key_posts(count: int) -> Iterator[Operation]:
    """Values of keys; most go to few of the keys."""
    random = Random(1)
    keys = max(count // POSTS_PER_KEY, 20)
    hot = round(keys * HOT_KEYS)
    for number in range(count):
        key = random.randrange(hot) if random.random() < HOT_POSTS else random.randrange(hot, keys)
        yield _key_post(key, number, random)


def proofreading(count: int) -> Iterator[Operation]:
    """Three in five are operations on labels; the others post keys, neurons and elements."""
    random = Random(2)
    on_labels = labels(count)
    for number in range(count):
        kind = random.random()
        body = random.randrange(1, BODIES + 1)
        if kind < 0.6:
            yield next(on_labels)
        elif kind < 0.75:
            yield _key_post(body, number, random)
        elif kind < 0.9:
            fields = {"bodyid": body, "status": random.choice(STATUSES), "type": f"type{number % 100}"}
            yield f"neurons/key/{body}", fields
        else:
            yield "synapses/elements", [_element(random) for _ in range(random.randint(1, 3))]


def _key_post(key: int, number: int, random: Random) -> Operation:
    return f"segmentation_annotations/key/{key}", {"status": random.choice(STATUSES), "number": number}


def _element(random: Random) -> dict[str, Any]:
    return {
        "Pos": [random.randrange(ACROSS) for _ in range(3)],
        "Kind": random.choice(("PreSyn", "PostSyn")),
        "Tags": [],
        "Prop": {"conf": f"{random.random():.2f}"},
        "Rels": [],
    }
