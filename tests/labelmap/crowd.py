"""People who work at once on a model of a labelmap, and the log that a source would write of it.

An operation is several instants, as at DVID: it takes a label id, then a mutation id, announces its start,
happens, announces its end. Other people's instants come between. Nobody touches a body that another one is at
work on, so what happened is beyond doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import orjson

from dvidsync_dagster.dvid.labelmap import LastMod
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.log.record import Record
from tests.labelmap.model import ModelLabelmap

ROOT = "a" * 32
TOPIC = "labels"
REPO_TOPIC = "repo"
TOPICS: dict[str, Instance | None] = {TOPIC: Instance("segmentation", "labelmap", "d" * 32), REPO_TOPIC: None}
START = 1_790_000_000_000_000_000
TICK = 50_000_000
"""At most so many ns lie between two instants."""

WEIGHTS: dict[str, float] = {
    "merge": 8,
    "cleave": 6,
    "renumber": 2,
    "renumber_up": 1,
    "split_supervoxel": 2,
    "split": 0.5,
    "reserve": 1,
    "failed_cleave": 1,
    "unheard_cleave": 0,
    "failed_split": 0.3,
    "set_next": 0,
    "raise_max": 0.2,
    "commit": 0.3,
    "branch": 0.1,
}

Phases = Iterator[None]


@dataclass
class Crowd:
    """Works on `model` and fills `log`.

    Args:
        people: how many operations run at once at most.
        weights: how often what is tried.
        tells_sizes: the completion of a cleave tells its voxels, as those of today's servers do.
    """

    model: ModelLabelmap
    random: Random
    people: int = 1
    weights: dict[str, float] = field(default_factory=lambda: WEIGHTS)
    partitions: int = 3
    tells_sizes: bool = False
    clock: int = START
    log: list[Record] = field(default_factory=list)
    busy: set[tuple[str, int]] = field(default_factory=set)
    offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)
    free: dict[str, set[int]] = field(default_factory=dict)
    cleaved: list[tuple[str, int, int, list[int]]] = field(default_factory=list)
    came_home: bool = False
    """Something was cleaved, and later all of it was back in its old body. A copy looks the same before and
    after, so a run that only sees the cleave cannot tell."""

    def work(self, count: int) -> None:
        kinds, shares = list(self.weights), list(self.weights.values())
        running: list[Phases] = []
        while count or running:
            if count and len(running) < self.people and self.random.random() < 0.5:
                count -= 1
                kind = self.random.choices(kinds, shares)[0]
                if kind in ("commit", "branch") and running:
                    continue
                running.append(getattr(self, kind)())
            if running:
                one = self.random.choice(running)
                if next(one, self) is self:
                    running.remove(one)

    # The log

    def tick(self) -> int:
        self.clock += self.random.randint(1, TICK)
        return self.clock

    def publish(self, topic: str, fields: dict[str, Any], repeat: float = 0.03) -> None:
        value = orjson.dumps(fields)
        key = self.tick()
        partition = self.random.randrange(self.partitions) if topic == TOPIC else 0
        for _ in range(2 if self.random.random() < repeat else 1):
            offset = self.offsets.get((topic, partition), 0)
            self.offsets[topic, partition] = offset + 1
            self.log.append(Record(key, topic, partition, offset, value))
            # Said again, as another message: so do servers at which two requests raced.
            key = self.tick()

    def announce(self, version: str, action: str, mutation_id: int, user: str, **fields: Any) -> None:
        message = {"Action": action, "UUID": version, "MutationID": mutation_id, "User": user, "App": "neu3"}
        uptime = (self.clock - START) / 1e9 + 10
        message["Timestamp"] = f"2026-11-23 04:46:03.07 +0000 UTC m=+{uptime:.9f}"
        self.publish(TOPIC, {**message, **fields})

    def tell(self, version: str, action: str, **fields: Any) -> None:
        self.publish(TOPIC, {"Action": action, "UUID": version, **fields})

    def announce_never_given(self, kind: str, label: int) -> None:
        """What no server wrote: a start without an end, or a reservation, of a label that was never given."""
        version, number = next(iter(self.model.versions)), self.model.mutation_id + 10**6
        told: dict[str, dict[str, Any]] = {
            "cleave": {"OrigLabel": 1, "CleavedLabel": label, "CleavedSupervoxels": [2]},
            "split-supervoxel": {
                "Supervoxel": 1,
                "Body": 1,
                "SplitSupervoxel": label,
                "RemainSupervoxel": label + 1,
                "Split": "none",
            },
            "post-nextlabel": {"Start Label": 1, "End Label": label},
        }
        self.announce(version, kind, number, "eve", **told[kind])

    # Choosing

    def version(self) -> str:
        return self.random.choice([uuid for uuid, node in self.model.versions.items() if not node.locked])

    def idle(self, version: str, at_least: int = 1) -> list[int]:
        bodies = self.model.versions[version].bodies
        return sorted(
            label
            for label, parts in bodies.items()
            if (version, label) not in self.busy and len(parts) >= at_least
        )

    def hold(self, version: str, *labels: int) -> Callable[[], None]:
        held = {(version, label) for label in labels}
        assert not held & self.busy
        self.busy |= held

        def let_go() -> None:
            self.busy.difference_update(held)

        return let_go

    def top(self) -> int:
        """The highest id that anybody has, or is about to have by a renumber that is under way."""
        held = [label for _, label in self.busy]
        return max(self.model.max_repo_label, self.model.set_label, *self.model.extents, *held)

    def mod(self, mutation_id: int, user: str) -> LastMod:
        return LastMod(mutation_id, user, "neu3", "")

    def user(self) -> str:
        return self.random.choice(["amy", "bob", "eve"])

    def count(self, kind: str) -> None:
        self.done[kind] = self.done.get(kind, 0) + 1

    # What people do

    def operation(
        self,
        kind: str,
        version: str,
        fields: Callable[[], dict[str, Any]],
        do: Callable[[LastMod], None],
        let_go: Callable[[], None],
        at_end: Callable[[], dict[str, Any]] = dict,
    ) -> Phases:
        user, mutation_id = self.user(), self.model.new_mutation_id()
        yield
        said = fields()
        self.announce(version, kind, mutation_id, user, **said)
        yield
        do(self.mod(mutation_id, user))
        said |= at_end()
        yield
        self.announce(version, f"{kind}-complete", mutation_id, user, **said)
        let_go()
        self.count(kind)
        self.came_home |= any(self._is_home(*cleave) for cleave in self.cleaved)

    def _is_home(self, version: str, orig: int, new: int, supervoxels: list[int]) -> bool:
        node = self.model.versions[version]
        homes = {node.mapping.get(each, 0) for each in supervoxels}
        return new not in node.bodies and homes <= {0, orig}

    def merge(self) -> Phases:
        version = self.version()
        bodies = self.idle(version)
        if len(bodies) < 4:
            return
        target, *labels = self.random.sample(bodies, self.random.choice([2, 2, 2, 3]))
        let_go = self.hold(version, target, *labels)
        yield from self.operation(
            "merge",
            version,
            lambda: {"Target": target, "Labels": labels},
            lambda mod: self.model.do_merge(version, target, labels, mod),
            let_go,
        )
        self.free.setdefault(version, set()).update(labels)

    def cleave(self) -> Phases:
        version = self.version()
        bodies = self.idle(version, at_least=2)
        if not bodies:
            return
        orig = self.random.choice(bodies)
        parts = sorted(self.model.versions[version].bodies[orig])
        chosen = self.random.sample(parts, self.random.randint(1, len(parts) - 1))
        let_go = self.hold(version, orig)
        new, _ = self.model.take()
        let_go_new = self.hold(version, new)
        yield

        def end() -> None:
            let_go()
            let_go_new()
            self.cleaved.append((version, orig, new, chosen))

        yield from self.operation(
            "cleave",
            version,
            lambda: {"OrigLabel": orig, "CleavedLabel": new, "CleavedSupervoxels": chosen},
            lambda mod: self.model.do_cleave(version, orig, chosen, new, mod),
            end,
            lambda: self._sizes(version, orig, new),
        )

    def _sizes(self, version: str, orig: int, new: int) -> dict[str, Any]:
        if not self.tells_sizes:
            return {}
        cleaved, remaining = self.model.voxels(version, new), self.model.voxels(version, orig)
        return {"CleavedSize": cleaved, "RemainSize": remaining}

    def failed_cleave(self) -> Phases:
        """Of supervoxels that are not in the body."""
        version = self.version()
        bodies = self.idle(version)
        if not bodies:
            return
        orig = self.random.choice(bodies)
        new, _ = self.model.take()
        yield
        mutation_id = self.model.new_mutation_id()
        yield
        fields = {"OrigLabel": orig, "CleavedLabel": new, "CleavedSupervoxels": [10**9]}
        self.announce(version, "cleave", mutation_id, self.user(), **fields)
        self.count("failed_cleave")

    def unheard_cleave(self) -> Phases:
        """Refused before its JSON was read: the id is gone without a word."""
        self.model.take()
        self.count("unheard_cleave")
        yield from ()

    def renumber(self, to: int | None = None) -> Phases:
        version = self.version()
        bodies = self.idle(version)
        free = sorted(
            label
            for label in self.free.get(version, ())
            if label not in self.model.versions[version].bodies and (version, label) not in self.busy
        )
        if not bodies or not (free or to):
            return
        orig, new = self.random.choice(bodies), to or self.random.choice(free)
        if (version, new) in self.busy:
            return
        let_go = self.hold(version, orig, new)
        yield from self.operation(
            "renumber",
            version,
            lambda: {"OrigLabel": orig, "NewLabel": new},
            lambda mod: self.model.do_renumber(version, new, orig, mod),
            let_go,
        )
        self.free.setdefault(version, set()).add(orig)

    def renumber_up(self) -> Phases:
        """To an id that nobody has had: just above the counter would be a race that the server loses."""
        yield from self.renumber(self.top() + self.random.randint(300, 400))

    def split_supervoxel(self) -> Phases:
        version = self.version()
        candidates = [
            (body, supervoxel)
            for body in self.idle(version)
            for supervoxel in sorted(self.model.versions[version].bodies[body])
            if self.model.extents[supervoxel].high - self.model.extents[supervoxel].low > 1
        ]
        if not candidates:
            return
        body, supervoxel = self.random.choice(candidates)
        extent = self.model.extents[supervoxel]
        at = self.random.randint(extent.low + 1, extent.high - 1)
        let_go = self.hold(version, body)
        split, _ = self.model.take()
        yield
        remain, _ = self.model.take()
        yield
        blob = self.blob([(supervoxel, at)])
        yield from self.operation(
            "split-supervoxel",
            version,
            lambda: {
                "Supervoxel": supervoxel,
                "Body": body,
                "SplitSupervoxel": split,
                "RemainSupervoxel": remain,
                "Split": blob,
            },
            lambda mod: self.model.do_split(version, supervoxel, split, remain, at, mod),
            let_go,
        )

    def failed_split(self) -> Phases:
        version = self.version()
        body = next(iter(self.idle(version)), None)
        if body is None:
            return
        split, remain = self.model.take(2)
        mutation_id = self.model.new_mutation_id()
        yield
        fields = {"Supervoxel": body, "Body": body, "SplitSupervoxel": split, "RemainSupervoxel": remain}
        self.announce(version, "split-supervoxel", mutation_id, self.user(), **fields, Split="none")
        self.count("failed_split")

    def split(self) -> Phases:
        version = self.version()
        extents = self.model.extents
        target = self.random.choice(self.idle(version) or [0])
        whole = sorted(self.model.versions[version].bodies.get(target, ()))
        parts = [each for each in whole if extents[each].high - extents[each].low > 1][:3]
        if not parts:
            return
        ats = {each: self.random.randint(extents[each].low + 1, extents[each].high - 1) for each in parts}
        let_go = self.hold(version, target)
        new, _ = self.model.take()
        let_go_new = self.hold(version, new)
        yield
        ids = {each: self.model.take(2) for each in parts}
        blob = self.blob(list(ats.items()))

        def do(mod: LastMod) -> None:
            for supervoxel, (split, remain) in ids.items():
                self.model.do_split(version, supervoxel, split, remain, ats[supervoxel], mod)
            self.model.do_cleave(version, target, [split for split, _ in ids.values()], new, mod)

        def end() -> None:
            let_go()
            let_go_new()

        fields = {
            "Target": target,
            "NewLabel": new,
            "Split": blob,
            "SVSplits": {str(sv): {"Split": split, "Remain": remain} for sv, (split, remain) in ids.items()},
        }
        yield from self.operation("split", version, lambda: fields, do, end)

    def blob(self, cuts: list[tuple[int, int]]) -> str:
        name = f"blob{len(self.model.blobs)}"
        self.model.blobs[name] = self.model.runs(cuts).tobytes()
        return name

    def reserve(self) -> Phases:
        version = self.version()
        first, last = self.model.take(self.random.randint(1, 4))
        yield
        self.tell(version, "post-nextlabel", **{"Start Label": first, "End Label": last})

    def set_next(self) -> Phases:
        """Always to where nobody has an id; sometimes back."""
        version = self.version()
        label = self.top() + self.random.randint(1, 30)
        self.model.set_label = label
        self.tell(version, "setnextlabel", **{"Next Label": label})
        yield from ()

    def raise_max(self) -> Phases:
        version = self.version()
        label = max(self.model.max_repo_label, *self.model.extents) + self.random.randint(1, 9)
        self.model.given(label)
        self.tell(version, "post-maxlabel", MaxLabel=label)
        yield from ()

    def commit(self) -> Phases:
        version = self.version()
        self.model.versions[version].locked = True
        self.publish(REPO_TOPIC, {"Action": "commit", "UUID": version, "Note": "done", "Log": []}, 0)
        self._child(version)
        yield from ()

    def branch(self) -> Phases:
        locked = [uuid for uuid, node in self.model.versions.items() if node.locked]
        if locked:
            self._child(self.random.choice(locked), branch=f"branch{len(self.model.versions)}")
        yield from ()

    def _child(self, parent: str, branch: str = "") -> None:
        child = f"{len(self.model.versions):032x}"
        self.model.new_version(parent, child)
        self.free[child] = set(self.free.get(parent, ()))
        fields = {"Action": "newversion", "Parent": parent, "Child": child, "Note": ""}
        self.publish(REPO_TOPIC, {**fields, **({"Action": "branch", "Branch": branch} if branch else {})}, 0)
