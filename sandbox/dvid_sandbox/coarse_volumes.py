"""Where the bodies of a labelmap are, by block: what their indices alone tell."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from dvid_sandbox.blocks import BlockPoint, zyx
from dvid_sandbox.bounds import Bounds
from dvid_sandbox.exchange import Answer, Exchange, Refused
from dvid_sandbox.instance import Place
from dvid_sandbox.reading import read_label, read_uint
from dvid_sandbox.sparse_volumes import PROTECTED, supervoxels_of

if TYPE_CHECKING:
    from dvid_sandbox.labelmap import Labelmap

_RUN = struct.Struct("<4i")


def sparsevol_size(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    label = read_label(exchange, PROTECTED)
    if exchange.method != "GET":
        raise Refused(f"DVID does not support {exchange.method} on /sparsevol-size endpoint")
    is_supervoxel = exchange.flag("supervoxels")
    index = lm.index_for(place.version, label, is_supervoxel)
    _, points = supervoxels_of(lm, place, label, is_supervoxel)
    if index is None or not points:
        return Answer.missing()
    voxels = index.voxels_of(label) if is_supervoxel else index.voxels
    low = ", ".join(str(min(each) * lm.edge) for each in zip(*points, strict=True))
    high = ", ".join(str((max(each) + 1) * lm.edge - 1) for each in zip(*points, strict=True))
    return Answer.json(
        f'{{"voxels": {voxels}, "numblocks": {len(points)}, "minvoxel": [{low}], "maxvoxel": [{high}]}}'
    )


def sparsevol_coarse(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    label = read_label(exchange, PROTECTED)
    _, points = supervoxels_of(lm, place, label, exchange.flag("supervoxels"))
    if not points:
        return Answer.missing()
    runs = _runs(lm, exchange, points)
    return Answer.binary(struct.pack("<BBBBII", 0, 3, 0, 0, 0, len(runs)) + b"".join(runs))


def sparsevols_coarse(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    if len(exchange.parts) < 6:
        raise Refused("DVID requires start and end label ID to follow 'sparsevols-coarse' command")
    first, last = read_uint(exchange.parts[4]), read_uint(exchange.parts[5])
    if first == 0 or last == 0:
        raise Refused(PROTECTED)
    pieces = []
    labels, _ = lm.indices.sizes(place.version)
    for label in labels[(labels >= first) & (labels <= last)].tolist():
        _, points = supervoxels_of(lm, place, label, False)
        runs = _runs(lm, exchange, points)
        pieces.append(struct.pack("<QI", label, len(runs)) + b"".join(runs))
    return Answer.binary(b"".join(pieces))


def _runs(lm: Labelmap, exchange: Exchange, points: list[BlockPoint]) -> list[bytes]:
    """Runs of blocks along x."""
    within = Bounds.asked(exchange).in_blocks(lm.edge)
    runs: list[list[int]] = []
    for x, y, z in sorted((each for each in points if within.contain(each)), key=zyx):
        if runs and runs[-1][1:3] == [y, z] and runs[-1][0] + runs[-1][3] == x:
            runs[-1][3] += 1
        else:
            runs.append([x, y, z, 1])
    return [_RUN.pack(*each) for each in runs]
