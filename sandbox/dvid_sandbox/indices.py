"""Label indices: which supervoxels a body has, and how many voxels of each lie in which block.

Indices and the mapping of supervoxels are two things in DVID, and a crash can leave them at odds; as here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvid_sandbox import wire
from dvid_sandbox.versioned import Ancestry, Gone, VersionedStore


@dataclass(frozen=True)
class Modified:
    """Who changed a body last: mutation id, user, app, time (RFC 3339)."""

    mutation_id: int = 0
    user: str = ""
    app: str = ""
    time: str = ""


@dataclass
class LabelIndex:
    """One body.

    `supervoxels` gives voxels by block number by supervoxel; the inner dicts are shared between copies and
    never changed in place. `surface` gives the mutation that last changed the body in a block.
    """

    label: int
    supervoxels: dict[int, dict[int, int]] = field(default_factory=dict)
    surface: dict[int, int] = field(default_factory=dict)
    modified: Modified = Modified()

    def copy(self) -> LabelIndex:
        return LabelIndex(self.label, dict(self.supervoxels), dict(self.surface), self.modified)

    @property
    def voxels(self) -> int:
        return sum(sum(blocks.values()) for blocks in self.supervoxels.values())

    def voxels_of(self, supervoxel: int) -> int:
        return sum(self.supervoxels.get(supervoxel, {}).values())

    def blocks(self) -> dict[int, dict[int, int]]:
        """Voxels by supervoxel by block number, as the wire form has it."""
        result: dict[int, dict[int, int]] = {}
        for supervoxel, blocks in self.supervoxels.items():
            for block, count in blocks.items():
                result.setdefault(block, {})[supervoxel] = count
        return result

    def to_proto(self) -> Any:
        message = wire.LabelIndex(
            label=self.label,
            last_mutid=self.modified.mutation_id,
            last_mod_time=self.modified.time,
            last_mod_user=self.modified.user,
            last_mod_app=self.modified.app,
        )
        for block, counts in self.blocks().items():
            entry = message.blocks[block]
            entry.counts.update(counts)
            entry.surface_mutid = self.surface.get(block, 0)
        return message

    @classmethod
    def from_proto(cls, message: Any) -> LabelIndex:
        modified = Modified(
            message.last_mutid, message.last_mod_user, message.last_mod_app, message.last_mod_time
        )
        index = cls(message.label, modified=modified)
        for block, entry in message.blocks.items():
            for supervoxel, count in entry.counts.items():
                index.supervoxels.setdefault(supervoxel, {})[block] = count
            if entry.surface_mutid:
                index.surface[block] = entry.surface_mutid
        return index


class FirstIndices:
    """The indices of bodies that are one supervoxel each, as a volume brings them, in arrays.

    Args:
        labels, blocks, counts: rows of supervoxel, block number, voxels; in any order.
    """

    def __init__(
        self, labels: NDArray[np.uint64], blocks: NDArray[np.uint64], counts: NDArray[np.int64]
    ) -> None:
        order = np.argsort(labels, kind="stable")
        self._rows = labels[order], blocks[order], counts[order]
        self.labels, self._begins = np.unique(self._rows[0], return_index=True)

    def __contains__(self, label: int) -> bool:
        place = int(np.searchsorted(self.labels, np.uint64(label)))
        return place < len(self.labels) and int(self.labels[place]) == label

    def get(self, label: int) -> LabelIndex | None:
        place = int(np.searchsorted(self.labels, np.uint64(label)))
        if place == len(self.labels) or int(self.labels[place]) != label:
            return None
        begin = int(self._begins[place])
        end = int(self._begins[place + 1]) if place + 1 < len(self._begins) else len(self._rows[0])
        blocks = dict(zip(self._rows[1][begin:end].tolist(), self._rows[2][begin:end].tolist(), strict=True))
        return LabelIndex(label, {label: blocks})

    def sizes(self) -> NDArray[np.int64]:
        """Voxels of each of `labels`."""
        return np.add.reduceat(self._rows[2], self._begins) if len(self.labels) else self._rows[2]

    def joined(
        self, labels: NDArray[np.uint64], blocks: NDArray[np.uint64], counts: NDArray[np.int64]
    ) -> FirstIndices:
        return FirstIndices(
            np.concatenate([self._rows[0], labels]),
            np.concatenate([self._rows[1], blocks]),
            np.concatenate([self._rows[2], counts]),
        )


class IndexStore:
    """The indices of all versions of one instance."""

    def __init__(self, ancestry: Ancestry) -> None:
        self._ancestry = ancestry
        self._changed: VersionedStore[int, LabelIndex] = VersionedStore(ancestry)
        self._first: dict[int, FirstIndices] = {}

    def get(self, version: int, label: int) -> LabelIndex | None:
        """To read only: it may belong to an ancestor."""
        for ancestor in self._ancestry(version):
            found = self._changed.own(ancestor, label)
            if found is not None:
                return found
            if self._changed.knows_itself(ancestor, label):
                return None
        return self._from_volume(version, label)

    def holder(self, version: int, label: int) -> int | None:
        """The version, this one or an ancestor, that an index is of."""
        for ancestor in self._ancestry(version):
            if self._changed.knows_itself(ancestor, label):
                return ancestor
        for ancestor in self._ancestry(version):
            if ancestor in self._first and label in self._first[ancestor]:
                return ancestor
        return None

    def own(self, version: int, label: int) -> LabelIndex | None:
        """To change and `put` again: the version's own, or a copy of an ancestor's."""
        mine = self._changed.own(version, label)
        if mine is not None:
            return mine
        found = self.get(version, label)
        return None if found is None else found.copy()

    def put(self, version: int, index: LabelIndex) -> None:
        self._changed.put(version, index.label, index)

    def delete(self, version: int, label: int) -> None:
        self._changed.delete(version, label)

    def untouched(self, version: int, label: int) -> bool:
        """Whether nothing is known of a label, so that a volume may bring it."""
        return not self._changed.knows(version, label) and self._from_volume(version, label) is None

    def add_volume(
        self,
        version: int,
        labels: NDArray[np.uint64],
        blocks: NDArray[np.uint64],
        counts: NDArray[np.int64],
    ) -> None:
        """New bodies of one supervoxel each."""
        known = self._first.get(version)
        self._first[version] = (
            FirstIndices(labels, blocks, counts) if known is None else known.joined(labels, blocks, counts)
        )

    def sizes(self, version: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """All bodies, sorted, and their voxels."""
        labels, sizes = self._untouched_sizes(version)
        live = [
            (label, index.voxels)
            for label, index in self._changed.said(version).items()
            if not isinstance(index, Gone)
        ]
        labels = np.concatenate([labels, np.array([each[0] for each in live], np.uint64)])
        sizes = np.concatenate([sizes, np.array([each[1] for each in live], np.int64)])
        order = np.argsort(labels)
        return labels[order], sizes[order]

    def _untouched_sizes(self, version: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Bodies that are as their volume brought them."""
        changed: Iterable[int] = self._changed.said(version).keys()
        dropped = np.fromiter(changed, np.uint64)
        labels, sizes = [np.array([], np.uint64)], [np.array([], np.int64)]
        for ancestor in self._ancestry(version):
            first = self._first.get(ancestor)
            if first is not None:
                kept = ~np.isin(first.labels, dropped)
                labels.append(first.labels[kept])
                sizes.append(first.sizes()[kept])
        return np.concatenate(labels), np.concatenate(sizes)

    def _from_volume(self, version: int, label: int) -> LabelIndex | None:
        for ancestor in self._ancestry(version):
            first = self._first.get(ancestor)
            if first is not None:
                found = first.get(label)
                if found is not None:
                    return found
        return None
