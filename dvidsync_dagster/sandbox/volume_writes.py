"""Writing voxels: POST raw, and volumes of cubes given by formula."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dvidsync_dagster.sandbox.compression import uncompress
from dvidsync_dagster.sandbox.exchange import Exchange, Refused
from dvidsync_dagster.sandbox.indices import LabelIndex
from dvidsync_dagster.sandbox.instance import Place
from dvidsync_dagster.sandbox.voxels import EDGE, Block, BlockPoint, Cubes, encode_block

if TYPE_CHECKING:
    from dvidsync_dagster.sandbox.labelmap import Labelmap


def post_raw(lm: Labelmap, exchange: Exchange, place: Place, size: BlockPoint, offset: BlockPoint) -> None:
    """Stores a box of supervoxels; their labels are what the mapping says, or themselves."""
    end = tuple(offset[axis] + size[axis] - 1 for axis in range(3))
    if any(each % EDGE for each in (*size, *offset)):
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
    lm.widen(offset, (end[0], end[1], end[2]))
    lm.repo.new_mutation_id()
    labels = np.frombuffer(body, "<u8").reshape(size[::-1])
    fresh: list[tuple[int, int, int]] = []
    highest = 0
    for z in range(0, size[2], EDGE):
        for y in range(0, size[1], EDGE):
            for x in range(0, size[0], EDGE):
                point = (
                    (x + offset[0]) // EDGE,
                    (y + offset[1]) // EDGE,
                    (z + offset[2]) // EDGE,
                )
                block = Block.of(labels[z : z + EDGE, y : y + EDGE, x : x + EDGE])
                highest = max(highest, int(block.palette.max()))
                old = lm.volume.get(place.version, point) if exchange.flag("mutate") else None
                fresh += _store(lm, place, point, block, old)
    lm.counters.raise_max(place.version, highest)
    if fresh:
        rows = np.array(fresh, np.uint64)
        lm.indices.add_volume(place.version, rows[:, 0], rows[:, 1], rows[:, 2].astype(np.int64))


def _store(
    lm: Labelmap, place: Place, point: BlockPoint, block: Block, old: Block | None
) -> list[tuple[int, int, int]]:
    """Stores a block; gives the rows (label, block, voxels) of labels that nobody knew yet.

    Args:
        old: the block that it takes the place of, whose voxels leave the indices. None says to ask for none.
    """
    lm.volume.put(place.version, point, block)
    number = encode_block(point)
    changes = dict(block.counts())
    if old is not None:
        for supervoxel, voxels in old.counts():
            changes[supervoxel] = changes.get(supervoxel, 0) - voxels
    fresh = []
    for supervoxel, voxels in changes.items():
        mapped = lm.mapping.get(place.version, supervoxel)
        label = supervoxel if mapped is None else mapped
        if mapped is None and lm.indices.untouched(place.version, label):
            fresh.append((label, number, voxels))
        elif voxels:
            _change_index(lm, place, label, supervoxel, number, voxels)
    return fresh


def _change_index(lm: Labelmap, place: Place, label: int, supervoxel: int, number: int, change: int) -> None:
    index = lm.indices.own(place.version, label) or LabelIndex(label)
    blocks = dict(index.supervoxels.get(supervoxel, {}))
    blocks[number] = blocks.get(number, 0) + change
    if blocks[number] <= 0:
        del blocks[number]
    if blocks:
        index.supervoxels[supervoxel] = blocks
    else:
        index.supervoxels.pop(supervoxel, None)
    if index.supervoxels:
        lm.put_index(place.version, index)
    else:
        lm.indices.delete(place.version, label)


def put_cubes(lm: Labelmap, place: Place, cubes: Cubes) -> None:
    """A volume of cubes in an instance that has no voxels yet."""
    if lm.extents is not None:
        raise Refused(f'data "{lm.name}" has voxels already')
    if (
        cubes.cube < 1
        or EDGE % cubes.cube
        or cubes.first < 1
        or any(n < 1 or n % cubes.cube for n in cubes.size)
    ):
        raise Refused("a cube's edge must divide 64 and the size, and ids start at 1 or above")
    lm.widen((0, 0, 0), (cubes.size[0] - 1, cubes.size[1] - 1, cubes.size[2] - 1))
    lm.repo.new_mutation_id()
    lm.volume.put_cubes(place.version, cubes)
    labels, blocks, counts = cubes.rows()
    lm.indices.add_volume(place.version, labels, blocks, counts)
    lm.counters.raise_max(place.version, int(labels[-1]))


def _go_point(point: tuple[int, ...]) -> str:
    return f"({','.join(str(each) for each in point)})"
