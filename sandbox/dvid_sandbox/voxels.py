"""The supervoxel volume of a labelmap at one resolution: blocks by version.

A volume of equal cubes can also be given by formula and then takes no memory until a voxel changes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dvid_sandbox.blocks import EDGE, Block, BlockPoint, Labels
from dvid_sandbox.versioned import Ancestry, VersionedStore


@dataclass(frozen=True)
class Cubes:
    """A volume made of cubes, numbered from `first`: x fastest, then y, then z.

    Args:
        size: voxels in x, y, z; multiples of `cube`.
        cube: voxels along a cube's edge; divides a block's.
        first: the first cube's supervoxel id.
        edge: voxels along a block's edge.
    """

    size: BlockPoint
    cube: int
    first: int
    edge: int = EDGE

    @property
    def counts(self) -> BlockPoint:
        """Cubes along x, y, z."""
        return self.size[0] // self.cube, self.size[1] // self.cube, self.size[2] // self.cube

    def block(self, point: BlockPoint) -> Block | None:
        axes = []
        for axis in range(3):
            voxel = np.arange(point[axis] * self.edge, (point[axis] + 1) * self.edge, dtype=np.int64)
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
        per_block = self.edge // self.cube
        x, y, z = label % nx // per_block, label // nx % ny // per_block, label // (nx * ny) // per_block
        block = ((z << 42) | (y << 21) | x).astype(np.uint64)
        ids = (label + np.uint64(self.first)).astype(np.uint64)
        return ids, block, np.full(len(label), self.cube**3, np.int64)


class Volume:
    """The blocks of all versions of one instance at one resolution.

    Args:
        edge: voxels along a block's edge.
    """

    def __init__(self, ancestry: Ancestry, edge: int) -> None:
        self.edge = edge
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
        block = self.get(version, (point[0] // self.edge, point[1] // self.edge, point[2] // self.edge))
        return 0 if block is None else block.label_at(point)

    def read(self, version: int, size: BlockPoint, offset: BlockPoint) -> Labels:
        """A box of supervoxels, shape (z, y, x)."""
        result = np.zeros(size[::-1], np.uint64)
        edge = self.edge
        low = [offset[axis] // edge for axis in range(3)]
        high = [(offset[axis] + size[axis] - 1) // edge for axis in range(3)]
        for z in range(low[2], high[2] + 1):
            for y in range(low[1], high[1] + 1):
                for x in range(low[0], high[0] + 1):
                    block = self.get(version, (x, y, z))
                    if block is None:
                        continue
                    to, source = [], []
                    for axis, each in ((2, z), (1, y), (0, x)):
                        begin = max(each * edge, offset[axis])
                        end = min((each + 1) * edge, offset[axis] + size[axis])
                        to.append(slice(begin - offset[axis], end - offset[axis]))
                        source.append(slice(begin - each * edge, end - each * edge))
                    result[tuple(to)] = block.labels[tuple(source)]
        return result
