"""People at the destination work in a version that it follows, beside those at the source; and a model of
what must come of it when what cannot be taken is left out, or ends the run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal

import httpx

from dvidsync_dagster.destinations.protocol import ConflictRow, StoppedAt
from dvidsync_dagster.differences.work import Repair
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.repair.repairing import repair
from dvidsync_dagster.run.follow import follow
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

    def stopped(self, pending: Sequence[Done], source: Mapping[int, set[int]]) -> set[int]:
        """What a run cannot do that stops; the rest is done, unless it waits for an id after one of these.

        Args:
            pending: all that the run is to do, in order.
            source: the source's bodies after these.
        """
        left_out: set[int] = set()
        for together in _tied(pending):
            own = any(self._is_apart(done) for done in together)
            labels = set().union(*(done.touched for done in together))
            ends = {label: source[label] for label in labels if label in source}
            if own and self.of(labels) == ends:
                continue
            if own and self._leads_to(together, labels, ends):
                self.apart -= labels
            refused: set[int] = set()
            for done in together:
                lacks = any(body not in self.bodies for body in done.named)
                if lacks or self._is_apart(done) or not refused.isdisjoint(done.touched):
                    refused |= done.touched
                    left_out.add(done.number)
                else:
                    self._do(done)
                    self.apart -= done.touched
        return left_out

    def _is_apart(self, done: Done) -> bool:
        return any(label in self.apart and label in self.bodies for label in done.touched)

    def of(self, labels: Collection[int]) -> dict[int, set[int]]:
        return {label: self.bodies[label] for label in labels if label in self.bodies}

    def _leads_to(
        self, together: Sequence[Done], labels: Collection[int], ends: Mapping[int, set[int]]
    ) -> bool:
        """Whether all of it can be done, and ends so."""
        tried = Expected({label: set(parts) for label, parts in self.bodies.items()})
        for done in together:
            whole = done.named[0] in tried.bodies and done.moved < tried.bodies[done.named[0]]
            if any(body not in tried.bodies for body in done.named) or done.new in tried.bodies or not whole:
                return False
            tried._do(done)
        return tried.of(labels) == ends

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


def _tied(pending: Sequence[Done]) -> list[list[Done]]:
    """What belongs together, as it shares bodies."""
    groups: list[list[Done]] = []
    for done in pending:
        shared = [group for group in groups if any(done.touched & other.touched for other in group)]
        groups = [group for group in groups if group not in shared]
        groups.append([*sorted((each for group in shared for each in group), key=_number), done])
    return groups


def _number(done: Done) -> int:
    return done.number


@dataclass
class Beside:
    """Both at work, and runs that follow from the last checkpoint."""

    scene: Stage
    apply: str = "replay"
    on_conflict: str = "skip"
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
        fields["destinations"][0] |= {"on_conflict": self.on_conflict, "apply": self.apply}
        return fields

    def follow(self, meanwhile: Callable[[], object] = lambda: None) -> Sequence[ConflictRow]:
        """What a run left out.

        Args:
            meanwhile: is done when a chunk is brought, before its checkpoint.
        """
        config = self.scene.config(**self.fields())
        asked = count(1)

        def still_owner() -> None:
            # By the run, by its first step, and by the run again.
            if next(asked) == 3:
                meanwhile()

        rows: list[ConflictRow] = []
        reports = follow(
            config, config.destinations[0], checkpoint=self.checkpoint, epoch=1, still_owner=still_owner
        )
        for report in reports:
            rows += report.conflicts
            self.checkpoint = report.checkpoint
        self.conflicts += rows
        return rows

    def stopped(self) -> list[int]:
        """The mutation ids of the operations at which a run stops; none if it goes on."""
        try:
            assert not self.follow()
        except StoppedAt as stopped:
            return sorted(row.mutation_id or 0 for row in stopped.rows)
        return []

    def mend(self) -> None:
        """A repair of a destination that cannot follow. It takes ids, so the counters differ."""
        assert not self.repaired().pending
        self.scene.assert_same()

    def repaired(self, *, dry_run: bool = False, stuck: bool = True, version: str | None = None) -> Repair:
        config = self.scene.config(**self.fields())
        return repair(
            config,
            config.destinations[0],
            checkpoint=self.checkpoint,
            dry_run=dry_run,
            stuck=stuck,
            version=self.scene.root if version is None else version,
            still_owner=lambda: None,
        )
