"""The supervoxel volume of a labelmap: blocks of 64³ voxels, by version.

A block is held as a palette and one small number per voxel. A volume of equal cubes can also be given by
formula and then takes no memory until a voxel changes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dvidsync_dagster.sandbox.bounds import Bounds
from dvidsync_dagster.sandbox.versioned import Ancestry, VersionedStore
from dvidsync_dagster.sandbox.wire import Runs

EDGE = 64
SUB_EDGE = 8
"""Voxels along the edge of a sub-block, in which DVID looks at a block's voxels."""
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
    """64³ supervoxel ids, indexed z, y, x."""

    palette: Labels
    voxels: NDArray[np.unsignedinteger]

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
        return cls(palette, inverse.astype(np.min_scalar_type(len(palette))))

    @property
    def labels(self) -> Labels:
        """Shape (64, 64, 64), z first."""
        labels: Labels = self.palette[self.voxels].reshape(EDGE, EDGE, EDGE)
        return labels

    def counts(self) -> list[tuple[int, int]]:
        """Voxels by supervoxel, background left out."""
        numbers = np.bincount(self.voxels, minlength=len(self.palette))
        return [(int(label), int(n)) for label, n in zip(self.palette, numbers, strict=True) if label and n]


@dataclass(frozen=True)
class Cubes:
    """A volume made of cubes, numbered from `first`: x fastest, then y, then z.

    Args:
        size: voxels in x, y, z; multiples of `cube`.
        cube: voxels along a cube's edge; divides 64.
        first: the first cube's supervoxel id.
    """

    size: BlockPoint
    cube: int
    first: int

    @property
    def counts(self) -> BlockPoint:
        """Cubes along x, y, z."""
        return self.size[0] // self.cube, self.size[1] // self.cube, self.size[2] // self.cube

    def block(self, point: BlockPoint) -> Block | None:
        axes = []
        for axis in range(3):
            voxel = np.arange(point[axis] * EDGE, (point[axis] + 1) * EDGE, dtype=np.int64)
            inside = (voxel >= 0) & (voxel < self.size[axis])
            if not inside.any():
                return None
            axes.append((voxel // self.cube, inside))
        (x, in_x), (y, in_y), (z, in_z) = axes
        nx, ny, _ = self.counts
        number = (z[:, None, None] * ny + y[None, :, None]) * nx + x[None, None, :] + self.first
        inside = in_z[:, None, None] & in_y[None, :, None] & in_x[None, None, :]
        return Block.of(np.where(inside, number, 0).astype(np.uint64))

    def rows(self) -> tuple[Labels, NDArray[np.uint64], NDArray[np.int64]]:
        """Supervoxel, block number and voxels of each cube, which lies in one block only."""
        nx, ny, nz = self.counts
        label = np.arange(nx * ny * nz, dtype=np.uint64)
        per_block = EDGE // self.cube
        x, y, z = label % nx // per_block, label // nx % ny // per_block, label // (nx * ny) // per_block
        block = ((z << 42) | (y << 21) | x).astype(np.uint64)
        ids = (label + np.uint64(self.first)).astype(np.uint64)
        return ids, block, np.full(len(label), self.cube**3, np.int64)


class Volume:
    """The blocks of all versions of one instance."""

    def __init__(self, ancestry: Ancestry) -> None:
        self._ancestry = ancestry
        self._blocks: VersionedStore[BlockPoint, Block] = VersionedStore(ancestry)
        self._cubes: dict[int, Cubes] = {}

    def get(self, version: int, point: BlockPoint) -> Block | None:
        block = self._blocks.get(version, point)
        if block is not None:
            return block
        for ancestor in self._ancestry(version):
            if ancestor in self._cubes:
                return self._cubes[ancestor].block(point)
        return None

    def put(self, version: int, point: BlockPoint, block: Block) -> None:
        self._blocks.put(version, point, block)

    def put_cubes(self, version: int, cubes: Cubes) -> None:
        self._cubes[version] = cubes

    def label_at(self, version: int, point: BlockPoint) -> int:
        """The supervoxel at a voxel (x, y, z); 0 where there is no data."""
        block = self.get(version, (point[0] // EDGE, point[1] // EDGE, point[2] // EDGE))
        if block is None:
            return 0
        x, y, z = point[0] % EDGE, point[1] % EDGE, point[2] % EDGE
        return int(block.palette[block.voxels[(z * EDGE + y) * EDGE + x]])

    def read(self, version: int, size: BlockPoint, offset: BlockPoint) -> Labels:
        """A box of supervoxels, shape (z, y, x)."""
        result = np.zeros(size[::-1], np.uint64)
        low = [offset[axis] // EDGE for axis in range(3)]
        high = [(offset[axis] + size[axis] - 1) // EDGE for axis in range(3)]
        for z in range(low[2], high[2] + 1):
            for y in range(low[1], high[1] + 1):
                for x in range(low[0], high[0] + 1):
                    block = self.get(version, (x, y, z))
                    if block is None:
                        continue
                    to, source = [], []
                    for axis, each in ((2, z), (1, y), (0, x)):
                        begin = max(each * EDGE, offset[axis])
                        end = min((each + 1) * EDGE, offset[axis] + size[axis])
                        to.append(slice(begin - offset[axis], end - offset[axis]))
                        source.append(slice(begin - each * EDGE, end - each * EDGE))
                    result[tuple(to)] = block.labels[tuple(source)]
        return result


@dataclass(frozen=True)
class BlockRuns:
    """The part of a sparse volume in one block: its voxels in the order of the runs, as places in it."""

    voxels: NDArray[np.int64]

    @property
    def size(self) -> int:
        return len(self.voxels)


def partition(runs: Runs) -> dict[BlockPoint, BlockRuns]:
    """A sparse volume by block, in the order of DVID's store."""
    lengths = runs[:, 3].astype(np.int64)
    lengths = np.maximum(lengths, 0)
    begins = np.repeat(np.cumsum(lengths) - lengths, lengths)
    x = np.repeat(runs[:, 0].astype(np.int64), lengths) + np.arange(lengths.sum()) - begins
    y = np.repeat(runs[:, 1].astype(np.int64), lengths)
    z = np.repeat(runs[:, 2].astype(np.int64), lengths)
    blocks = np.stack([z // EDGE, y // EDGE, x // EDGE], axis=1)
    places = ((z % EDGE) * EDGE + y % EDGE) * EDGE + x % EDGE
    if not len(blocks):
        return {}
    points, inverse = np.unique(blocks, axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    return {
        (int(bx), int(by), int(bz)): BlockRuns(places[inverse == number])
        for number, (bz, by, bx) in enumerate(points)
    }


def runs_of(block: Block, point: BlockPoint, supervoxels: set[int], bounds: Bounds) -> Runs:
    """The runs of some supervoxels in one block, cut at the bounds if these are exact."""
    wanted = np.isin(block.palette, np.fromiter(supervoxels, np.uint64, len(supervoxels)))
    mask = wanted[block.voxels].reshape(EDGE, EDGE, EDGE)
    if bounds.given and bounds.exact:
        _cut(mask, block, point, bounds)
    mask = mask.reshape(-1, EDGE)
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, begin = np.nonzero(edges == 1)
    _, end = np.nonzero(edges == -1)
    return np.stack(
        [
            begin + point[0] * EDGE,
            row % EDGE + point[1] * EDGE,
            row // EDGE + point[2] * EDGE,
            end - begin,
        ],
        axis=1,
    ).astype(np.int32)


def _cut(mask: NDArray[np.bool_], block: Block, point: BlockPoint, bounds: Bounds) -> None:
    """Takes out what lies outside.

    Along x, DVID takes one step at least, and its steps are whole sub-blocks where these are all one label.
    """
    (x, to_x), (y, to_y), (z, to_z) = (
        (
            0 if low is None else max(low - each * EDGE, 0),
            EDGE - 1 if high is None else min(high - each * EDGE, EDGE - 1),
        )
        for each, low, high in zip(point, bounds.low, bounds.high, strict=True)
    )
    kept = np.zeros_like(mask)
    inside = slice(z, max(to_z + 1, 0)), slice(y, max(to_y + 1, 0))
    if len(block.palette) == 1:
        kept[(*inside, slice(x, max(to_x + 1, 0)))] = True
    else:
        to_x = max(x, to_x)
        kept[(*inside, slice(x, to_x + 1))] = True
        end = (to_x // SUB_EDGE + 1) * SUB_EDGE
        last = block.labels[:, :, end - SUB_EDGE : end].reshape(
            EDGE // SUB_EDGE, SUB_EDGE, EDGE // SUB_EDGE, SUB_EDGE, SUB_EDGE
        )
        uniform = last.min(axis=(1, 3, 4)) == last.max(axis=(1, 3, 4))
        whole = uniform.repeat(SUB_EDGE, 0).repeat(SUB_EDGE, 1)[inside]
        kept[(*inside, slice(to_x + 1, end))] = whole[:, :, None]
    mask &= kept


def joined(runs: Runs) -> Runs:
    """Runs that go on in the next block made one; otherwise in the order given."""
    order = np.lexsort((runs[:, 0], runs[:, 1], runs[:, 2]))
    ranked = runs[order]
    goes_on = (
        (ranked[1:, 2] == ranked[:-1, 2])
        & (ranked[1:, 1] == ranked[:-1, 1])
        & (ranked[1:, 0] == ranked[:-1, 0] + ranked[:-1, 3])
    )
    if not goes_on.any():
        return runs
    begins = np.flatnonzero(np.concatenate([[True], ~goes_on]))
    whole = ranked[begins]
    whole[:, 3] = np.add.reduceat(ranked[:, 3], begins)
    return whole[np.argsort(order[begins], kind="stable")]
