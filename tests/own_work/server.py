"""Somebody at work at one server: at the bodies of a labelmap, and at keys, neurons and elements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx
import numpy as np

from dvid_sandbox.proofreaders.segmentation import RUNS_HEADER, sparse_volume

LABELS = "segmentation"
Bodies = dict[int, frozenset[int]]
"""The supervoxels of each body."""

BODIES = range(1, 17)
"""People work at these, so that they meet."""


@dataclass(frozen=True)
class Done:
    """A label operation that a server has done.

    Args:
        number: its mutation id.
        named: the bodies that it needs.
        given: labels and supervoxel ids that it brings.
        before: the bodies that it needs, as they were.
        after: all that it touches, as it is then; None for what is no body anymore.
    """

    kind: str
    version: str
    number: int
    named: tuple[int, ...]
    before: Mapping[int, frozenset[int]]
    after: Mapping[int, frozenset[int] | None]
    given: frozenset[int] = frozenset()

    @property
    def touched(self) -> set[int]:
        return {*self.after}


@dataclass
class Server:
    """One server, and what its bodies must be, by version."""

    url: str
    user: str
    splits: bool
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=60))
    bodies: dict[str, Bodies] = field(default_factory=dict)

    # Labels

    def work_at_labels(self, version: str, random: Random) -> Done | None:
        """Some operation, if there is one to do."""
        bodies = {body: parts for body, parts in self.bodies[version].items() if min(parts) in BODIES}
        several = sorted(body for body, parts in bodies.items() if len(parts) > 1)
        roll = random.random()
        if several and roll < 0.35:
            body = random.choice(several)
            parts = sorted(bodies[body])
            return self.cleave(version, body, random.sample(parts, random.randint(1, len(parts) - 1)))
        if bodies and roll < 0.45:
            return self.renumber(version, random.choice(sorted(bodies)))
        if bodies and roll < 0.55:
            return self.split_supervoxel(version, random.choice(sorted(bodies)), random)
        if roll < 0.62 and self.splits and several:
            return self.split(version, random.choice(several), random)
        if len(bodies) < 3:
            return None
        target, *labels = random.sample(sorted(bodies), random.randint(2, 3))
        return self.merge(version, target, labels)

    def merge(self, version: str, target: int, labels: list[int]) -> Done:
        answer = self.label_post(version, "merge", [target, *labels])
        before = self._before(version, (target, *labels))
        whole = frozenset().union(*before.values())
        after = {target: whole, **dict.fromkeys(labels)}
        return self._did("merge", version, answer["MutationID"], before, after)

    def cleave(self, version: str, body: int, parts: Iterable[int]) -> Done:
        moved = frozenset(parts)
        answer = self.label_post(version, f"cleave/{body}", sorted(moved))
        before = self._before(version, (body,))
        new = int(answer["CleavedLabel"])
        after = {body: before[body] - moved, new: moved}
        return self._did("cleave", version, answer["MutationID"], before, after, {new})

    def renumber(self, version: str, body: int) -> Done:
        new = int(self.label_post(version, "nextlabel/1", None)["start"])
        self.label_post(version, "renumber", [new, body])
        number = self.last_mod(version, new)["mutation id"]
        before = self._before(version, (body,))
        return self._did("renumber", version, number, before, {body: None, new: before[body]}, {new})

    def split_supervoxel(self, version: str, body: int, random: Random) -> Done | None:
        before = self._before(version, (body,))
        part = random.choice(sorted(before[body]))
        volume = self._half(version, part)
        if volume is None:
            return None
        answer = self.label_post(version, f"split-supervoxel/{part}", volume)
        halves = {int(answer["SplitSupervoxel"]), int(answer["RemainSupervoxel"])}
        after = {body: before[body] - {part} | halves}
        return self._did("split-supervoxel", version, answer["MutationID"], before, after, halves)

    def split(self, version: str, body: int, random: Random) -> Done | None:
        before = self._before(version, (body,))
        volume = self._half(version, random.choice(sorted(before[body])))
        if volume is None:
            return None
        answer = self.label_post(version, f"split/{body}", volume)
        new = int(answer["label"])
        after = {
            each: frozenset(self.json("GET", version, f"{LABELS}/supervoxels/{each}")) for each in (body, new)
        }
        given = {new, *(after[body] | after[new])} - before[body]
        return self._did("split", version, answer["MutationID"], before, dict(after), given)

    def label_post(self, version: str, what: str, content: Any) -> dict[str, Any]:
        body = {"content": content} if isinstance(content, bytes) else {"json": content}
        answer = self.request("POST", version, f"{LABELS}/{what}", **body)
        return dict(answer.json()) if answer.content and answer.text.startswith("{") else {}

    def last_mod(self, version: str, body: int) -> dict[str, Any]:
        answer = self.client.get(self._path(version, f"{LABELS}/lastmod/{body}"))
        return dict(answer.json()) if answer.status_code == 200 else {}

    def look(self, version: str, supervoxels: Iterable[int]) -> Bodies:
        """The bodies of supervoxels, as the server has them."""
        ids = sorted(supervoxels)
        found: dict[int, set[int]] = {}
        for part, body in zip(ids, self.json("GET", version, f"{LABELS}/mapping", json=ids), strict=True):
            if body:
                found.setdefault(body, set()).add(part)
        return {body: frozenset(parts) for body, parts in found.items()}

    def _half(self, version: str, part: int) -> bytes | None:
        """Some of the voxels of a supervoxel, never all."""
        answer = self.request("GET", version, f"{LABELS}/sparsevol/{part}?supervoxels=true")
        runs = np.frombuffer(answer.content, "<i4", offset=len(RUNS_HEADER) + 4).reshape(-1, 4)
        runs = runs[np.lexsort((runs[:, 0], runs[:, 1], runs[:, 2]))]
        return sparse_volume(runs[: len(runs) // 2]) if len(runs) > 1 else None

    def _before(self, version: str, named: tuple[int, ...]) -> dict[int, frozenset[int]]:
        return {body: self.bodies[version][body] for body in named}

    def _did(
        self,
        kind: str,
        version: str,
        number: Any,
        before: Mapping[int, frozenset[int]],
        after: Mapping[int, frozenset[int] | None],
        given: Iterable[int] = (),
    ) -> Done:
        done = Done(kind, version, int(number), tuple(before), before, after, frozenset(given))
        do(self.bodies[version], done)
        return done

    # Versions

    def commit(self, version: str) -> None:
        self.request("POST", version, "commit", json={"note": "done"})

    def new_version(self, parent: str) -> str:
        child = str(self.json("POST", parent, "newversion", json={"note": "next"})["child"])
        self.bodies[child] = dict(self.bodies[parent])
        return child

    def branch(self, parent: str, name: str) -> str:
        child = str(self.json("POST", parent, "branch", json={"branch": name, "note": "own way"})["child"])
        self.bodies[child] = dict(self.bodies[parent])
        return child

    # Requests

    def json(self, method: str, version: str, path: str, **what: Any) -> Any:
        return self.request(method, version, path, **what).json()

    def request(self, method: str, version: str, path: str, **what: Any) -> httpx.Response:
        answer = self.client.request(method, self._path(version, path), **what)
        assert answer.status_code == 200, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    def _path(self, version: str, path: str) -> str:
        mark = "&" if "?" in path else "?"
        return f"{self.url}/api/node/{version}/{path}{mark}u={self.user}&app=test"


def do(bodies: Bodies, done: Done) -> None:
    for body, parts in done.after.items():
        if parts:
            bodies[body] = parts
        else:
            bodies.pop(body, None)
