"""What people share: the versions, and for each who may work on what."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from random import Random
from typing import Any

from dvid_sandbox.proofreaders.client import Client

Point = tuple[int, int, int]


@dataclass
class Pool:
    """What is free to work on in one version, for one person or for all.

    A body that is worked on is taken out and given back, so that no two people have it at once.
    """

    bodies: list[int] = field(default_factory=list)
    several: set[int] = field(default_factory=set)  # bodies of several supervoxels, as far as known
    spare: list[int] = field(default_factory=list)  # ids that no body has and the counter is past
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, random: Random, count: int = 1) -> list[int]:
        """Bodies at random; none if fewer are free."""
        with self._lock:
            return self._take(random, self.bodies, count)

    def take_of_several(self, random: Random) -> list[int]:
        """One body of several supervoxels, if one is known, or any."""
        with self._lock:
            return self._take(
                random, [body for body in self.bodies if body in self.several], 1
            ) or self._take(random, self.bodies, 1)

    def give(self, body: int, *, several: bool) -> None:
        with self._lock:
            self.bodies.append(body)
            if several:
                self.several.add(body)
            else:
                self.several.discard(body)

    def take_spare(self, random: Random) -> int | None:
        with self._lock:
            return self.spare.pop(random.randrange(len(self.spare))) if self.spare else None

    def give_spare(self, ids: range | list[int]) -> None:
        with self._lock:
            self.spare.extend(ids)

    def child(self) -> Pool:
        """The same in a new version whose parent is locked."""
        with self._lock:
            return Pool(list(self.bodies), set(self.several), list(self.spare))

    def _take(self, random: Random, among: list[int], count: int) -> list[int]:
        if len(among) < count:
            return []
        chosen = random.sample(among, count)
        gone = set(chosen)
        self.bodies[:] = [body for body in self.bodies if body not in gone]
        return chosen


@dataclass
class Traces:
    """What one person has written in one version, each with its instance: annotation elements and keys."""

    points: list[tuple[str, Point]] = field(default_factory=list)
    keys: list[tuple[str, str]] = field(default_factory=list)

    def child(self) -> Traces:
        return Traces(list(self.points), list(self.keys))


class Gate:
    """Lets people work side by side, or one alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._working = 0
        self._waiting_alone = 0

    @contextmanager
    def working(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting_alone)
            self._working += 1
        try:
            yield
        finally:
            with self._changed:
                self._working -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._changed:
            self._waiting_alone += 1
            self._changed.wait_for(lambda: not self._working)
            try:
                yield
            finally:
                self._waiting_alone -= 1
                self._changed.notify_all()


class Workplace:
    """One repo as the people see it.

    Args:
        client: to the server.
        root: the repo's root version.
        people: how many share it.
        shared: all work on all bodies (never on one at once); else each has a region of their own.
        within: the only versions that there are for them, beside those that they make.
    """

    def __init__(
        self, client: Client, root: str, people: int, shared: bool, within: Collection[str] | None = None
    ) -> None:
        self.root = root
        self.gate = Gate()
        self.parents: dict[str, str] = {}
        self.open: list[str] = []
        self.locked: list[str] = []
        self.main: set[str] = set()
        self.begun: set[str] = set()  # versions whose bodies were worked on
        self.branches: list[str] = []
        self.branched: list[tuple[str, str]] = []
        self.writing_keys: AbstractContextManager[object] = threading.Lock() if shared else nullcontext()
        self._client = client
        self.people = people
        self._shared = shared
        self._pools: dict[tuple[str, int], Pool] = {}
        self._traces: dict[tuple[str, int], Traces] = {}
        self._making = threading.Lock()
        info = client.read_json(f"/api/repo/{root}/info")
        self.instances: dict[str, list[str]] = {}
        for name, instance in sorted(info["DataInstances"].items()):
            self.instances.setdefault(str(instance["Base"]["TypeName"]), []).append(name)
        nodes: dict[str, Any] = info["DAG"]["Nodes"]
        for uuid, node in sorted(nodes.items(), key=lambda item: int(item[1]["VersionID"])):
            if within is not None and uuid not in within:
                continue
            (self.locked if node["Locked"] else self.open).append(uuid)
            if node["Branch"]:
                self.branches.append(node["Branch"])
            else:
                self.main.add(uuid)

    @property
    def versions(self) -> int:
        return len(self.open) + len(self.locked)

    @property
    def segmentation(self) -> str:
        return self.instances["labelmap"][0]

    def lock(self, version: str) -> None:
        self.open.remove(version)
        self.locked.append(version)

    def add(self, version: str, parent: str, branch: str | None = None, *, locked: bool = False) -> None:
        """A version that was just made."""
        self.parents[version] = parent
        (self.locked if locked else self.open).append(version)
        if branch is not None:
            self.branches.append(branch)
        elif parent in self.main:
            self.main.add(version)

    def pool(self, version: str, person: int) -> Pool:
        """The bodies and ids that this person may work on in this version."""
        with self._making:
            return self._pool(version, 0 if self._shared else person)

    def traces(self, version: str, person: int) -> Traces:
        """What this person has written in this version or before."""
        with self._making:
            return self._trace(version, person)

    def _pool(self, version: str, person: int) -> Pool:
        if (version, person) not in self._pools:
            parent = self.parents.get(version)
            if parent is None:
                self._read(version)
            else:
                self._pools[version, person] = self._pool(parent, person).child()
        return self._pools[version, person]

    def _trace(self, version: str, person: int) -> Traces:
        if (version, person) not in self._traces:
            parent = self.parents.get(version)
            made = Traces() if parent is None else self._trace(parent, person).child()
            self._traces[version, person] = made
        return self._traces[version, person]

    def _read(self, version: str) -> None:
        """Deals the bodies of a version that was there before: neighbours in number go to one person."""
        labels = sorted(
            self._client.read_json(f"/api/node/{version}/{self.segmentation}/existing-labels") or []
        )
        shares = 1 if self._shared else self.people
        for person in range(shares):
            start, end = (len(labels) * number // shares for number in (person, person + 1))
            self._pools[version, person] = Pool(labels[start:end])
