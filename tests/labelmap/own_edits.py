"""People at the destination work in a version that it follows, beside those at the source; and a model of
what must come of it when what cannot be taken is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx

from dvidsync_dagster.destinations.protocol import ConflictRow
from dvidsync_dagster.log.checkpoint import Checkpoint
from tests.one_run import followed
from tests.stage import INSTANCE, Stage

Kind = Literal["merge", "cleave", "renumber"]


@dataclass(frozen=True)
class Done:
    """An operation that a server has done; `named` are its bodies, `number` its mutation id.

    Args:
        new: the label that a body got.
        moved: supervoxels of a cleave.
    """

    kind: Kind
    named: tuple[int, ...]
    number: int
    new: int = 0
    moved: frozenset[int] = frozenset()

    @property
    def touched(self) -> set[int]:
        return {*self.named, self.new} - {0}


@dataclass
class Worker:
    """Somebody at one server, on the bodies 1 to 64 of its labelmap."""

    root: str
    url: str
    user: str

    def merge(self, target: int, *labels: int) -> Done:
        answer = self._post("merge", [target, *labels])
        return Done("merge", (target, *labels), int(answer["MutationID"]))

    def cleave(self, body: int, *supervoxels: int) -> Done:
        answer = self._post(f"cleave/{body}", list(supervoxels))
        number, new = int(answer["MutationID"]), int(answer["CleavedLabel"])
        return Done("cleave", (body,), number, new, frozenset(supervoxels))

    def renumber(self, new: int, body: int) -> Done:
        self._post("renumber", [new, body])
        last = httpx.get(f"{self.url}/api/node/{self.root}/{INSTANCE}/lastmod/{new}").json()
        return Done("renumber", (body,), int(last["mutation id"]), new)

    def bodies(self) -> dict[int, set[int]]:
        """The supervoxels of each body."""
        found: dict[int, set[int]] = {}
        supervoxels = list(range(1, 65))
        path = f"/api/node/{self.root}/{INSTANCE}/mapping"
        answer = httpx.request("GET", f"{self.url}{path}", json=supervoxels)
        answer.raise_for_status()
        for supervoxel, body in zip(supervoxels, answer.json(), strict=True):
            found.setdefault(body, set()).add(supervoxel)
        return found

    def _post(self, what: str, content: list[int]) -> dict[str, Any]:
        path = f"/api/node/{self.root}/{INSTANCE}/{what}?u={self.user}&app=neu3"
        answer = httpx.post(f"{self.url}{path}", json=content)
        answer.raise_for_status()
        return answer.json() if what != "renumber" else {}


@dataclass
class Expected:
    """What the destination's bodies must be.

    Args:
        apart: bodies that are not as the source had them.
        left_out: mutation ids of the source.
    """

    bodies: dict[int, set[int]] = field(default_factory=lambda: {each: {each} for each in range(1, 65)})
    apart: set[int] = field(default_factory=set)
    left_out: list[int] = field(default_factory=list)

    def own(self, done: Done) -> None:
        self._do(done)
        self.apart |= done.touched

    def followed(self, done: Done) -> None:
        lacks = any(body not in self.bodies for body in done.named)
        if lacks or not self.apart.isdisjoint(done.touched):
            self.apart |= done.touched
            self.left_out.append(done.number)
        else:
            self._do(done)

    def _do(self, done: Done) -> None:
        match done.kind:
            case "merge":
                target, *labels = done.named
                for label in labels:
                    self.bodies[target] |= self.bodies.pop(label)
            case "cleave":
                self.bodies[done.named[0]] -= done.moved
                self.bodies[done.new] = set(done.moved)
            case "renumber":
                self.bodies[done.new] = self.bodies.pop(done.named[0])


@dataclass
class Beside:
    """Both at work, and runs that follow from the last checkpoint."""

    scene: Stage
    apply: str = "replay"
    checkpoint: Checkpoint | None = None
    conflicts: list[ConflictRow] = field(default_factory=list)

    @property
    def source(self) -> Worker:
        return Worker(self.scene.root, self.scene.source.url, "amy")

    @property
    def destination(self) -> Worker:
        return Worker(self.scene.root, self.scene.destination.url, "trainee")

    def fields(self) -> dict[str, Any]:
        fields = self.scene.fields()
        fields["destinations"][0] |= {"on_conflict": "skip", "apply": self.apply}
        return fields

    def follow(self) -> Sequence[ConflictRow]:
        """What a run left out."""
        rows: list[ConflictRow] = []
        for report in followed(self.scene.config(**self.fields()), checkpoint=self.checkpoint):
            rows += report.conflicts
            self.checkpoint = report.checkpoint
        self.conflicts += rows
        return rows
