"""Blocks of supervoxels, and their numbers in label indices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EDGE = 64
"""Voxels along the edge of a block, where an instance was not made with another number."""
BlockPoint = tuple[int, int, int]
"""Block coordinates x, y, z."""
Labels = NDArray[np.uint64]


def encode_block(point: BlockPoint) -> int:
    """A block's number in a label index: 21 bits each of z, y, x, the highest of the 21 being the sign."""
    number = 0
    for each in reversed(point):
        number = (number << 21) | (abs(each) & 0xFFFFF) | (0x100000 if each < 0 else 0)
    return number


def decode_block(number: int) -> BlockPoint:
    point = []
    for shift in (0, 21, 42):
        part = (number >> shift) & 0x1FFFFF
        each = part & 0xFFFFF
        point.append(-each if part & 0x100000 else each)
    return point[0], point[1], point[2]


def zyx(point: BlockPoint) -> BlockPoint:
    """Sorts blocks as DVID's store does."""
    return point[2], point[1], point[0]


@dataclass(frozen=True)
class Block:
    """Supervoxel ids, as a palette and one small number per voxel, indexed z, y, x.

    Args:
        palette: the ids that occur.
        voxels: flat.
        edge: voxels along an edge.
    """

    palette: Labels
    voxels: NDArray[np.unsignedinteger]
    edge: int

    @classmethod
    def of(cls, labels: Labels) -> Block:
        flat = np.ascontiguousarray(labels).reshape(-1)
        low = flat.min()
        span = int(flat.max() - low)
        if span < 1 << 18:
            # Much faster than sorting, and true of most volumes.
            shifted = (flat - low).astype(np.int64)
            present = np.flatnonzero(np.bincount(shifted, minlength=span + 1))
            lookup = np.zeros(span + 1, np.uint32)
            lookup[present] = np.arange(len(present), dtype=np.uint32)
            palette, inverse = present.astype(np.uint64) + low, lookup[shifted]
        else:
            palette, inverse = np.unique(flat, return_inverse=True)
        return cls(palette, inverse.astype(np.min_scalar_type(len(palette))), len(labels))

    @property
    def labels(self) -> Labels:
        """One id per voxel, indexed z, y, x."""
        labels: Labels = self.palette[self.voxels].reshape(self.edge, self.edge, self.edge)
        return labels

    def mapped(self, mapping: Callable[[int], int | None]) -> Block:
        """The same voxels under the ids that a mapping gives; None keeps an id."""
        bodies = [(each, mapping(each)) for each in self.palette.tolist()]
        palette = [each if body is None else body for each, body in bodies]
        return Block(np.array(palette, np.uint64), self.voxels, self.edge)

    def halved(self) -> Labels:
        """At half the resolution: of eight voxels what most of them are, the lowest id of equals, 0 last."""
        half = self.edge // 2
        if len(self.palette) == 1:
            return np.full((half, half, half), self.palette[0], np.uint64)
        eight = self.labels.reshape(half, 2, half, 2, half, 2).transpose(0, 2, 4, 1, 3, 5).reshape(-1, 8)
        eight = np.sort(eight, axis=1)
        votes = (eight[:, :, None] == eight[:, None, :]).sum(axis=2)
        votes[eight == 0] = 0
        winners = np.take_along_axis(eight, votes.argmax(axis=1)[:, None], axis=1)
        # Of eight zeros, the first has as few votes as all others.
        return winners.reshape(half, half, half)

    def label_at(self, point: BlockPoint) -> int:
        """The id at a voxel of the whole volume."""
        x, y, z = (each % self.edge for each in point)
        return int(self.palette[self.voxels[(z * self.edge + y) * self.edge + x]])

    def counts(self) -> list[tuple[int, int]]:
        """Voxels by supervoxel, background left out."""
        numbers = np.bincount(self.voxels, minlength=len(self.palette))
        return [(int(label), int(n)) for label, n in zip(self.palette, numbers, strict=True) if label and n]
