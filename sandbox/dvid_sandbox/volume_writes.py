"""Writing voxels: POST raw, and volumes of cubes given by formula."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from dvid_sandbox.blocks import Block, BlockPoint, encode_block
from dvid_sandbox.compression import uncompress
from dvid_sandbox.exchange import Exchange, Lacking, Refused
from dvid_sandbox.indices import LabelIndex
from dvid_sandbox.instance import Place
from dvid_sandbox.resolutions import put_blocks
from dvid_sandbox.voxels import Cubes

if TYPE_CHECKING:
    from dvid_sandbox.labelmap import Labelmap


_Changes = dict[int, dict[int, int]]
"""Voxels more or less by block number by supervoxel."""
NO_BLOCKS: Mapping[BlockPoint, Block] = {}


def post_raw(lm: Labelmap, exchange: Exchange, place: Place, size: BlockPoint, offset: BlockPoint) -> None:
    """Stores a box of supervoxels; their labels are what the mapping says, or themselves."""
    end = tuple(offset[axis] + size[axis] - 1 for axis in range(3))
    edge = lm.edge
    if any(each % edge for each in (*size, *offset)):
        raise Refused(
            f'cannot store labels for data "{lm.name}" in non-block aligned geometry {_go_point(offset)} -> '
            f"{_go_point(end)}"
        )
    expected = size[0] * size[1] * size[2] * 8
    body = uncompress(exchange.query.get("compression", ""), exchange.body, expected)
    if len(body) != expected:
        raise Refused(
            f'expected {expected} bytes for data "{lm.name}" label PUT but only received {len(body)} bytes'
        )
    lm.widen(place.version, offset, (end[0], end[1], end[2]))
    labels = np.frombuffer(body, "<u8").reshape(size[::-1])
    written: dict[BlockPoint, Block] = {}
    for z in range(0, size[2], edge):
        for y in range(0, size[1], edge):
            for x in range(0, size[0], edge):
                point = (x + offset[0]) // edge, (y + offset[1]) // edge, (z + offset[2]) // edge
                written[point] = Block.of(labels[z : z + edge, y : y + edge, x : x + edge])
    old: dict[BlockPoint, Block] = {}
    if exchange.flag("mutate"):
        known = {point: lm.volume.get(place.version, point) for point in written}
        old = {point: block for point, block in known.items() if block is not None}
    ingest_blocks(lm, exchange, place, written, old=old)


def ingest_blocks(
    lm: Labelmap,
    exchange: Exchange,
    place: Place,
    written: dict[BlockPoint, Block],
    *,
    old: Mapping[BlockPoint, Block] = NO_BLOCKS,
    lower: bool = True,
    indexed: bool = True,
) -> None:
    """Stores blocks, and adds their voxels to the indices.

    Args:
        old: the blocks that they take the place of, whose voxels leave the indices.
        lower: also in the lower resolutions.
        indexed: False leaves the indices alone.
    """
    mutation_id = lm.repo.new_mutation_id()
    put_blocks(lm, place.version, written, lower=lower)
    for subscriber in lm.repo.subscribers(lm):
        subscriber.voxels_written(exchange, place, mutation_id, written, old)
    highest = max((int(block.palette.max()) for block in written.values()), default=0)
    lm.counters.raise_max(place.version, highest)
    if not indexed:
        return
    fresh: list[tuple[int, int, int]] = []
    changes: dict[int, _Changes] = {}
    for point, block in written.items():
        number = encode_block(point)
        for supervoxel, voxels in _counted(block, old.get(point)).items():
            mapped = lm.mapping.get(place.version, supervoxel)
            label = supervoxel if mapped is None else mapped
            if mapped is None and lm.indices.untouched(place.version, label):
                fresh.append((label, number, voxels))
            elif voxels:
                changes.setdefault(label, {}).setdefault(supervoxel, {})[number] = voxels
    for label, changed in changes.items():
        _change_index(lm, place, label, changed)
    if fresh:
        rows = np.array(fresh, np.uint64)
        lm.indices.add_volume(place.version, rows[:, 0], rows[:, 1], rows[:, 2].astype(np.int64))


def _counted(block: Block, old: Block | None) -> dict[int, int]:
    """How many voxels more or less each supervoxel has in a block than before."""
    counts = dict(block.counts())
    for supervoxel, voxels in old.counts() if old is not None else ():
        counts[supervoxel] = counts.get(supervoxel, 0) - voxels
    return counts


def _change_index(lm: Labelmap, place: Place, label: int, changed: _Changes) -> None:
    """DVID counts the supervoxels that the body has already; a new body has one, of its own number."""
    index = lm.indices.own(place.version, label) or LabelIndex(label)
    for supervoxel in changed.keys() & (index.supervoxels.keys() or {label}):
        blocks = dict(index.supervoxels.get(supervoxel, {}))
        for number, voxels in changed[supervoxel].items():
            blocks[number] = blocks.get(number, 0) + voxels
        kept = {number: voxels for number, voxels in blocks.items() if voxels > 0}
        if kept:
            index.supervoxels[supervoxel] = kept
        else:
            index.supervoxels.pop(supervoxel, None)
    if index.supervoxels:
        lm.put_index(place.version, index)
    else:
        lm.indices.delete(place.version, label)


def put_cubes(lm: Labelmap, place: Place, cubes: Cubes) -> None:
    """A volume of cubes in an instance that has no voxels yet."""
    if lm.max_scale:
        raise Lacking("volumes by formula at lower resolutions")
    if lm.extents(place.version) is not None:
        raise Refused(f'data "{lm.name}" has voxels already')
    if (
        cubes.cube < 1
        or lm.edge % cubes.cube
        or cubes.first < 1
        or any(n < 1 or n % cubes.cube for n in cubes.size)
    ):
        raise Refused("a cube's edge must divide the blocks' and the size, and ids start at 1 or above")
    lm.widen(place.version, (0, 0, 0), (cubes.size[0] - 1, cubes.size[1] - 1, cubes.size[2] - 1))
    lm.repo.new_mutation_id()
    lm.volume.put_cubes(place.version, cubes)
    labels, blocks, counts = cubes.rows()
    lm.indices.add_volume(place.version, labels, blocks, counts)
    lm.counters.raise_max(place.version, int(labels[-1]))


def _go_point(point: tuple[int, ...]) -> str:
    return f"({','.join(str(each) for each in point)})"
