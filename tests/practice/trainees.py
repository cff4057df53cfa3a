"""People who practise on a branch of a destination's own, and what their work must have come to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson

from dvid_sandbox.launcher import DvidServer
from dvid_sandbox.proofreaders import Exchange, Proofreaders
from tests.people_at_work import at_work
from tests.state import read_state

LABELS = "segmentation"

PRACTISED: Mapping[str, float] = {
    "merge": 8,
    "cleave": 8,
    "renumber": 1,
    "reserve": 1,
    "split_supervoxel": 2,
    "refused_merge": 0.5,
    "refused_cleave": 0.5,
    "post_key": 2,
    "delete_key": 0.3,
    "post_neuron": 1,
    "post_elements": 1,
}
"""What trainees do: they make no versions, and have no admin token."""

Bodies = dict[int, set[int]]
"""The supervoxels of each body."""


@dataclass
class Trainees:
    """Some people in one version."""

    server: DvidServer
    root: str
    version: str
    people: Proofreaders
    began: Bodies

    def working(self) -> AbstractContextManager[None]:
        """They work as fast as they can."""
        return at_work(self.people)

    @property
    def done(self) -> int:
        return sum(exchange.status == 200 for exchange in self.people.exchanges)

    def assert_intact(self) -> None:
        """The bodies of their version are those that their own requests make, with the ids that they got."""
        assert [str(exchange) for exchange in self.people.unexpected] == []
        expected = {body: set(parts) for body, parts in self.began.items()}
        for exchange in self.people.exchanges:
            if exchange.status == 200:
                _repeat(exchange, expected)
        assert _bodies(self.server, self.root, self.version) == expected


@contextmanager
def trainees(
    server: DvidServer, root: str, version: str, *, seed: int, people: int = 2
) -> Iterator[Trainees]:
    """People who begin in a version of the destination's own."""
    with Proofreaders(
        server.url, root, seed=seed, people=people, weights=PRACTISED, within=[version]
    ) as crowd:
        yield Trainees(server, root, version, crowd, _bodies(server, root, version))


def _bodies(server: DvidServer, root: str, version: str) -> Bodies:
    state = read_state(server.url, root, server.admin_token, indices=True, instances=[LABELS])
    held = state["data"][f"{version}/{LABELS}"]["supervoxels"]
    return {int(body): {int(each) for each in parts} for body, parts in held.items()}


def _repeat(exchange: Exchange, bodies: Bodies) -> None:
    *_, instance, action, last = ["", "", *urlsplit(exchange.path).path.split("/")]
    label = int(last) if last.isdigit() else 0
    if not label:
        instance, action = action, last
    if instance != LABELS:
        return
    match action:
        case "merge":
            target, *labels = orjson.loads(exchange.request)
            for merged in labels:
                bodies[target] |= bodies.pop(merged)
        case "cleave":
            parts = set(orjson.loads(exchange.request))
            new = int(exchange.json()["CleavedLabel"])
            assert new not in bodies, "a label was given twice"
            bodies[label] -= parts
            bodies[new] = parts
        case "renumber":
            new, old = orjson.loads(exchange.request)
            bodies[new] = bodies.pop(old)
        case "split-supervoxel":
            answer: dict[str, Any] = exchange.json()
            (body,) = [each for each, parts in bodies.items() if label in parts]
            halves = {int(answer["SplitSupervoxel"]), int(answer["RemainSupervoxel"])}
            assert not any(halves & parts for parts in bodies.values()), "an id was given twice"
            bodies[body] = bodies[body] - {label} | halves
