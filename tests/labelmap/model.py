"""A model of DVID's labelmap: one instance in all versions of a repo, in memory.

It knows which supervoxel belongs to which body, refuses what DVID refuses, and gives ids in DVID's two ways
(modes 1 and 2). `ModelLabelmap` has the methods of `dvid.labelmap.Labelmap` that a copy uses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np

from dvidsync_dagster.dvid import sparsevol
from dvidsync_dagster.dvid.labelmap import LastMod
from dvidsync_dagster.dvid.proto.labelmap_pb2 import LabelIndex
from dvidsync_dagster.dvid.refusal import reason_of
from dvidsync_dagster.errors import RequestRefused

LENGTH = 16
"""Voxels of each supervoxel at the start: a run along x, at y = its id."""


class Killed(Exception):
    """The run ends here."""


def refuse(text: str) -> RequestRefused:
    return RequestRefused("POST", 400, text, reason_of(400, text))


@dataclass
class Node:
    """One version: `bodies` are the indices, `mapping` is body by supervoxel (0: split away)."""

    bodies: dict[int, set[int]]
    mapping: dict[int, int]
    modified: dict[int, LastMod]
    locked: bool = False
    parent: str | None = None


@dataclass
class Extent:
    """Where a supervoxel is: voxels `low` to `high` of row `y`."""

    y: int
    low: int
    high: int


@dataclass
class ModelLabelmap:
    """All of it. Ids of new things come from `take` or are given."""

    name: str = "segmentation"
    versions: dict[str, Node] = field(default_factory=dict)
    extents: dict[int, Extent] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    max_repo_label: int = 0
    set_label: int = 0
    highest_given: int = 0
    mutation_id: int = 1000
    admin: bool = True
    with_voxels: bool = True
    """False for a real history: its voxels are not known here, so splits are believed."""
    dies_after: int | None = None
    """So many changes that are asked for are done; the next one kills the run that asks."""
    requests: list[tuple[str, int]] = field(default_factory=list)
    """Each change that was asked for over the copy's interface: what, and a number of it."""
    meanwhile: Callable[[], object] = lambda: None
    """What somebody else does before each of these changes."""

    @classmethod
    def filled(cls, root: str, supervoxels: int) -> ModelLabelmap:
        ids = range(1, supervoxels + 1)
        node = Node({each: {each} for each in ids}, {each: each for each in ids}, {})
        node.modified = {each: LastMod(1, "", "", "") for each in ids}
        extents = {each: Extent(each, 0, LENGTH) for each in ids}
        return cls(versions={root: node}, extents=extents, max_repo_label=supervoxels)

    def new_body(self, version: str, label: int) -> None:
        """A body of one supervoxel, as ingested: no counter tells of it."""
        node = self.versions[version]
        node.bodies[label], node.mapping[label] = {label}, label
        node.modified[label] = LastMod(1, "", "", "")
        self.extents[label] = Extent(label, 0, LENGTH)

    def copy(self) -> ModelLabelmap:
        """A copied folder."""
        return deepcopy(self)

    def new_version(self, parent: str, child: str) -> None:
        node = deepcopy(self.versions[parent])
        node.locked, node.parent = False, parent
        self.versions[child] = node

    def state(self) -> dict[str, object]:
        """What must be the same in a copy: bodies, mapping and who changed each body."""
        return {
            uuid: (
                node.bodies,
                {supervoxel: body for supervoxel, body in node.mapping.items() if body},
                {label: (mod.user, mod.app.split("+dvidsync@")[0]) for label, mod in node.modified.items()},
                node.locked,
            )
            for uuid, node in self.versions.items()
        }

    # The counter

    @property
    def following(self) -> int:
        return (self.set_label or self.max_repo_label) + 1

    def take(self, count: int = 1) -> tuple[int, int]:
        first = self.following
        self.highest_given = max(self.highest_given, first + count - 1)
        if self.set_label:
            self.set_label += count
        else:
            self.max_repo_label += count
        return first, first + count - 1

    def given(self, label: int) -> None:
        """A label that somebody chose: it raises a counter that was never set."""
        self.max_repo_label = max(self.max_repo_label, label)
        self.highest_given = max(self.highest_given, label)

    # The operations, each at one instant

    def new_mutation_id(self) -> int:
        self.mutation_id += 1
        return self.mutation_id

    def open(self, version: str) -> Node:
        node = self.versions.get(version)
        if node is None:
            raise refuse(f"could not find UUID with partial match to {version}")
        if node.locked:
            raise refuse(f"version {version} is locked")
        return node

    def check_merge(self, version: str, target: int, labels: Sequence[int]) -> None:
        node = self.open(version)
        for label in labels:
            if label not in node.bodies:
                raise refuse(f"can't merge non-existent label {label}")
        if target not in node.bodies:
            raise refuse(f"can't merge into a non-existent label {target}")
        if target in labels:
            raise refuse("supervoxel already in index")

    def do_merge(self, version: str, target: int, labels: Sequence[int], mod: LastMod) -> None:
        self.check_merge(version, target, labels)
        node = self.open(version)
        for label in labels:
            for supervoxel in node.bodies[label]:
                node.mapping[supervoxel] = target
            node.bodies[target] |= node.bodies.pop(label)
            del node.modified[label]
        node.modified[target] = mod

    def check_cleave(self, version: str, orig: int, supervoxels: Sequence[int]) -> None:
        node = self.open(version)
        if orig not in node.bodies:
            raise refuse(f"cannot cleave non-existent label {orig}")
        for supervoxel in supervoxels:
            if supervoxel not in node.bodies[orig]:
                raise refuse(f"cannot cleave supervoxel {supervoxel}, which does not exist in label {orig}")
        if len(set(supervoxels)) == len(node.bodies[orig]):
            raise refuse(f"cannot cleave all supervoxels from the label {orig}")

    def do_cleave(self, version: str, orig: int, supervoxels: Sequence[int], new: int, mod: LastMod) -> None:
        self.check_cleave(version, orig, supervoxels)
        node = self.open(version)
        node.bodies[orig] -= set(supervoxels)
        node.bodies[new] = set(supervoxels)
        # DVID retires the id as a supervoxel's: whatever had it loses its mapping.
        node.mapping[new] = 0
        for supervoxel in supervoxels:
            node.mapping[supervoxel] = new
        node.modified[orig] = node.modified[new] = mod

    def check_renumber(self, version: str, new: int, orig: int) -> None:
        node = self.open(version)
        if new in node.bodies:
            raise refuse(f"target label for renumber ({new}) already exists in mapping")
        if orig not in node.bodies:
            raise refuse(f"can't renumber non-existent body with label {orig}")

    def do_renumber(self, version: str, new: int, orig: int, mod: LastMod) -> None:
        self.check_renumber(version, new, orig)
        node = self.open(version)
        node.mapping.setdefault(new, 0)
        node.bodies[new] = node.bodies.pop(orig)
        for supervoxel in node.bodies[new]:
            node.mapping[supervoxel] = new
        del node.modified[orig]
        node.modified[new] = mod
        self.given(new)

    def check_split(self, version: str, supervoxel: int) -> int:
        """The body of a supervoxel that can be split."""
        body = self.open(version).mapping.get(supervoxel, 0)
        if body == 0:
            raise refuse(f"supervoxel {supervoxel} has been split and doesn't exist anymore")
        return body

    def do_split(self, version: str, supervoxel: int, split: int, remain: int, at: int, mod: LastMod) -> None:
        """The voxels before `at` become `split`, the others `remain`."""
        body = self.check_split(version, supervoxel)
        node, extent = self.open(version), self.extents[supervoxel]
        if not extent.low < at < extent.high:
            raise refuse(f"supervoxel split of {supervoxel}: different from label index")
        self.extents[split] = Extent(extent.y, extent.low, at)
        self.extents[remain] = Extent(extent.y, at, extent.high)
        node.bodies[body] = node.bodies[body] - {supervoxel} | {split, remain}
        node.mapping[supervoxel] = 0
        node.mapping[split] = node.mapping[remain] = body
        node.modified[body] = mod

    def voxels(self, version: str, body: int) -> int:
        extents = [self.extents[each] for each in self.versions[version].bodies[body]]
        return sum(extent.high - extent.low for extent in extents)

    def runs(self, supervoxels: Sequence[tuple[int, int]]) -> sparsevol.Runs:
        """The runs of the voxels before some x of each supervoxel."""
        rows = [
            (self.extents[sv].low, self.extents[sv].y, 0, at - self.extents[sv].low) for sv, at in supervoxels
        ]
        return np.array(rows, dtype=np.int32).reshape(-1, 4)


@dataclass
class CopysView:
    """What a copy's writer sees of a model: the methods of `dvid.labelmap.Labelmap`."""

    model: ModelLabelmap

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def client(self) -> SimpleNamespace:
        return SimpleNamespace(has_admin_token=self.model.admin)

    def _asked(self, what: str, number: int = 0) -> None:
        self.model.meanwhile()
        if self.model.dies_after == 0:
            raise Killed
        if self.model.dies_after is not None:
            self.model.dies_after -= 1
        self.model.requests.append((what, number))

    def _mod(self, user: str, app: str) -> LastMod:
        return LastMod(self.model.new_mutation_id(), user, app, "")

    def _node(self, version: str) -> Node:
        if version not in self.model.versions:
            raise refuse(f"could not find UUID with partial match to {version}")
        return self.model.versions[version]

    def next_label(self, version: str) -> int:
        self._node(version)
        return self.model.following

    def max_label(self, version: str) -> int:
        self._node(version)
        return max(self.model.max_repo_label, self.model.highest_given)

    def next_label_was_set(self, _root: str) -> bool:
        return self.model.set_label != 0

    def last_mod(self, version: str, label: int) -> LastMod | None:
        return self._node(version).modified.get(label)

    def mapping(self, version: str, supervoxels: Sequence[int]) -> list[int]:
        return [self._node(version).mapping.get(each, 0) for each in supervoxels]

    def sizes(self, version: str, labels: Sequence[int]) -> list[int]:
        return [len(self._node(version).bodies.get(label, ())) for label in labels]

    def taken(self, version: str, labels: Sequence[int]) -> list[int]:
        node = self._node(version)
        return [label for label in labels if label in node.bodies or node.mapping.get(label)]

    def changed_as(self, version: str, labels: Sequence[int], app: str) -> list[int]:
        modified = self._node(version).modified
        return [label for label in labels if label in modified and modified[label].app == app]

    def supervoxels(self, version: str, label: int) -> list[int] | None:
        found = self._node(version).bodies.get(label)
        return None if found is None else sorted(found)

    def retired(self, version: str) -> frozenset[int]:
        return frozenset(each for each, body in self._node(version).mapping.items() if body == 0)

    def sparsevol(self, version: str, supervoxel: int) -> bytes:
        self._node(version)
        return sparsevol.request_body(self.model.runs([(supervoxel, self.model.extents[supervoxel].high)]))

    def blob(self, _version: str, reference: str) -> bytes:
        return self.model.blobs[reference]

    def merge(self, version: str, target: int, labels: Sequence[int], *, user: str, app: str) -> None:
        self._asked("merge", len(labels))
        self.model.do_merge(version, target, labels, self._mod(user, app))

    def cleave(self, version: str, label: int, supervoxels: Sequence[int], *, user: str, app: str) -> int:
        self._asked("cleave")
        self.model.open(version)
        new, _ = self.model.take()
        mod = self._mod(user, app)
        self.model.do_cleave(version, label, supervoxels, new, mod)
        return new

    def renumber(self, version: str, new: int, orig: int, *, user: str, app: str) -> None:
        self._asked("renumber")
        self.model.do_renumber(version, new, orig, self._mod(user, app))

    def split_supervoxel(
        self, version: str, supervoxel: int, split: int, remain: int, volume: bytes, *, user: str, app: str
    ) -> None:
        self._asked("split")
        self.model.open(version)
        runs = sparsevol.parse_runs(volume, "test", header=True)
        self.model.check_split(version, supervoxel)
        if not self.model.with_voxels:
            runs = np.array([[0, supervoxel, 0, 1]], np.int32)
            self.model.extents[supervoxel] = Extent(supervoxel, 0, 2)
        extent = self.model.extents[supervoxel]
        assert runs[:, 1].tolist() == [extent.y]
        assert int(runs[0, 0]) == extent.low
        self.model.given(split)
        self.model.given(remain)
        at = extent.low + int(runs[0, 3])
        self.model.do_split(version, supervoxel, split, remain, at, self._mod(user, app))

    def reserve(self, version: str, count: int) -> tuple[int, int]:
        self._asked("reserve", count)
        self.model.open(version)
        return self.model.take(count)

    def raise_max_label(self, version: str, label: int) -> None:
        self._asked("maxlabel")
        assert version in self.model.versions
        self.model.given(label)

    def set_next_label(self, version: str, label: int, _ceiling: int | None) -> None:
        self._asked("set")
        assert version in self.model.versions
        self.model.set_label = label

    def known(self, version: str, ids: Sequence[int]) -> list[bool]:
        mapping = self._node(version).mapping
        return [each in mapping and mapping[each] != each for each in ids]

    def indices(self, version: str, labels: Sequence[int]) -> Iterator[tuple[int, LabelIndex]]:
        """A supervoxel lies in the block that has the number of its row."""
        for label in labels:
            index = LabelIndex(label=label)
            mod = self._node(version).modified.get(label)
            if mod is not None:
                index.last_mutid, index.last_mod_user, index.last_mod_app = mod.mutation_id, mod.user, mod.app
                index.last_mod_time = mod.time
                for supervoxel in sorted(self._node(version).bodies[label]):
                    extent = self.model.extents[supervoxel]
                    block = next((each for each in index.blocks if each.key == extent.y), None)
                    block = index.blocks.add(key=extent.y) if block is None else block
                    block.value.counts.add(key=supervoxel, value=extent.high - extent.low)
            yield label, index

    def index(self, version: str, label: int) -> LabelIndex:
        ((_, index),) = self.indices(version, [label])
        return index

    def max_scale(self, _version: str) -> int:
        return 0

    def put_indices(self, version: str, indices: Sequence[LabelIndex]) -> None:
        self._asked("indices", len(indices))
        node = self.model.open(version)
        for index in indices:
            counts = [(block.key, each) for block in index.blocks for each in block.value.counts]
            if not counts:
                node.bodies.pop(index.label, None)
                node.modified.pop(index.label, None)
                continue
            for row, each in counts:
                extent = self.model.extents[each.key]
                assert (row, each.value) == (extent.y, extent.high - extent.low)
            assert len(counts) == len({each.key for _, each in counts})
            node.bodies[index.label] = {each.key for _, each in counts}
            node.modified[index.label] = LastMod(
                index.last_mutid, index.last_mod_user, index.last_mod_app, index.last_mod_time
            )
            self.model.given(index.label)

    def map_supervoxels(
        self, version: str, groups: Mapping[int, Sequence[int]], _mutation_id: int = 0
    ) -> None:
        self._asked("mappings", len(groups))
        node = self.model.open(version)
        for body, supervoxels in groups.items():
            node.mapping.update(dict.fromkeys(supervoxels, body))

    def delete_index(self, *_: object) -> None:
        raise AssertionError("only a killed server is mended this way, and the model never dies")
