"""In which blocks supervoxels lie, by the indices of their bodies."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from dvidsync_dagster.dvid import protobuf
from dvidsync_dagster.dvid.label_blocks import BlockPoint, decode_point
from dvidsync_dagster.dvid.proto.labelmap_pb2 import LabelIndex

_AT_ONCE = 200
"""Blocks that are asked for at a time: their coordinates stand in the URL."""


def with_any(index: LabelIndex, supervoxels: Collection[int]) -> list[LabelIndex.Block]:
    """The blocks of an index that list one of them."""
    wanted = set(supervoxels)
    return [block for block in index.blocks if not wanted.isdisjoint(protobuf.counts_of(block))]


def points_of(indices: Iterable[LabelIndex], supervoxels: Collection[int]) -> set[BlockPoint]:
    """The blocks of some indices that list one of them."""
    return {decode_point(block.key) for index in indices for block in with_any(index, supervoxels)}


def at_scale(points: Iterable[BlockPoint], scale: int) -> Iterator[list[BlockPoint]]:
    """The blocks that show these at a resolution, each once, some at a time."""
    ordered = sorted({(x >> scale, y >> scale, z >> scale) for x, y, z in points})
    for start in range(0, len(ordered), _AT_ONCE):
        yield ordered[start : start + _AT_ONCE]
