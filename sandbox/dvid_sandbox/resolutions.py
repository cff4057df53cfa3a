"""The lower resolutions of a labelmap: each block is made of eight of the next higher one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dvid_sandbox.blocks import Block, BlockPoint
from dvid_sandbox.exchange import Lacking

if TYPE_CHECKING:
    from dvid_sandbox.labelmap import Labelmap


def put_blocks(lm: Labelmap, version: int, written: dict[BlockPoint, Block], *, lower: bool = True) -> None:
    """Writes blocks of the highest resolution, and what follows from them in the lower ones.

    Raises:
        Lacking: lower resolutions of what lies at negative coordinates, at which DVID fails.
    """
    for point, block in written.items():
        lm.volume.put(version, point, block)
    if not lower:
        return
    for scale in range(1, lm.max_scale + 1):
        written = _halved(lm, version, written, scale)
        for point, block in written.items():
            lm.at_scale(scale).put(version, point, block)


def _halved(
    lm: Labelmap, version: int, written: dict[BlockPoint, Block], scale: int
) -> dict[BlockPoint, Block]:
    """The blocks of `scale` that have changed with blocks of the next higher resolution."""
    half = lm.edge // 2
    lower: dict[BlockPoint, np.ndarray] = {}
    for (x, y, z), block in written.items():
        if min(x, y, z) < 0:
            raise Lacking("lower resolutions at negative coordinates")
        point = x // 2, y // 2, z // 2
        if point not in lower:
            before = lm.at_scale(scale).get(version, point)
            lower[point] = np.zeros((lm.edge,) * 3, np.uint64) if before is None else before.labels
        octant = tuple(slice(each % 2 * half, each % 2 * half + half) for each in (z, y, x))
        lower[point][octant] = block.halved()
    return {point: Block.of(labels) for point, labels in lower.items()}
