"""Sparse volumes: runs of voxels along x, and the blocks that they are in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dvid_sandbox.blocks import Block, BlockPoint
from dvid_sandbox.bounds import Bounds
from dvid_sandbox.wire import Runs

SUB_EDGE = 8
"""Voxels along the edge of a sub-block, in which DVID looks at a block's voxels."""


@dataclass(frozen=True)
class BlockRuns:
    """The part of a sparse volume in one block: its voxels in the order of the runs, as places in it."""

    voxels: NDArray[np.int64]

    @property
    def size(self) -> int:
        return len(self.voxels)


def partition(runs: Runs, edge: int) -> dict[BlockPoint, BlockRuns]:
    """A sparse volume by block of so many voxels along its edge, in the order of DVID's store."""
    lengths = runs[:, 3].astype(np.int64)
    lengths = np.maximum(lengths, 0)
    begins = np.repeat(np.cumsum(lengths) - lengths, lengths)
    x = np.repeat(runs[:, 0].astype(np.int64), lengths) + np.arange(lengths.sum()) - begins
    y = np.repeat(runs[:, 1].astype(np.int64), lengths)
    z = np.repeat(runs[:, 2].astype(np.int64), lengths)
    blocks = np.stack([z // edge, y // edge, x // edge], axis=1)
    places = ((z % edge) * edge + y % edge) * edge + x % edge
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
    edge = block.edge
    wanted = np.isin(block.palette, np.fromiter(supervoxels, np.uint64, len(supervoxels)))
    mask = wanted[block.voxels].reshape(edge, edge, edge)
    if bounds.given and bounds.exact:
        _cut(mask, block, point, bounds)
    mask = mask.reshape(-1, edge)
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, begin = np.nonzero(edges == 1)
    _, end = np.nonzero(edges == -1)
    return np.stack(
        [
            begin + point[0] * edge,
            row % edge + point[1] * edge,
            row // edge + point[2] * edge,
            end - begin,
        ],
        axis=1,
    ).astype(np.int32)


def _cut(mask: NDArray[np.bool_], block: Block, point: BlockPoint, bounds: Bounds) -> None:
    """Takes out what lies outside.

    Along x, DVID takes one step at least, and its steps are whole sub-blocks where these are all one label.
    """
    edge = block.edge
    (x, to_x), (y, to_y), (z, to_z) = (
        (
            0 if low is None else max(low - each * edge, 0),
            edge - 1 if high is None else min(high - each * edge, edge - 1),
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
            edge // SUB_EDGE, SUB_EDGE, edge // SUB_EDGE, SUB_EDGE, SUB_EDGE
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
