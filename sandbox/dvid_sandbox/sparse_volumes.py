"""Sparse volumes of a labelmap over HTTP: the runs of voxels that a body or a supervoxel has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dvid_sandbox import wire
from dvid_sandbox.blocks import BlockPoint, decode_block, zyx
from dvid_sandbox.bounds import Bounds
from dvid_sandbox.compression import compress
from dvid_sandbox.exchange import Answer, Exchange, Lacking, Refused
from dvid_sandbox.instance import Place
from dvid_sandbox.reading import read_label, read_point, read_scale
from dvid_sandbox.runs import joined, runs_of

if TYPE_CHECKING:
    from dvid_sandbox.labelmap import Labelmap

PROTECTED = "Label 0 is protected background value and cannot be used as sparse volume.\n"


def sparsevol(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    if exchange.method not in ("GET", "HEAD"):
        raise Refused("POST of sparsevol not currently implemented\n")
    return _answer(lm, exchange, place, read_label(exchange, PROTECTED))


def by_point(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    if len(exchange.parts) < 5:
        raise Refused("ERROR: DVID requires coord to follow 'sparsevol-by-point' command")
    point, scale = read_point(exchange.parts[4]), read_scale(exchange)
    if exchange.flag("supervoxels"):
        label = lm.at_scale(scale).label_at(place.version, point)
    else:
        label = lm.label_at(place.version, point, scale)
    if label == 0:
        raise Refused(PROTECTED)
    return _answer(lm, exchange, place, label)


def _answer(lm: Labelmap, exchange: Exchange, place: Place, label: int) -> Answer:
    scale = read_scale(exchange)
    bounds = Bounds.asked(exchange)
    form = exchange.query.get("format", "rles")
    if form == "blocks":
        raise Lacking("sparsevol as blocks")
    is_supervoxel = exchange.flag("supervoxels")
    if exchange.method == "HEAD":
        if bounds.given:
            raise Lacking("HEAD of a sparsevol within bounds")
        index = lm.index_for(place.version, label, is_supervoxel)
        found = index is not None and bool(index.supervoxels)
        return Answer(200 if found else 204, "text/html")
    supervoxels, points = supervoxels_of(lm, place, label, is_supervoxel)
    lower = {(x >> scale, y >> scale, z >> scale) for x, y, z in points}
    blocks = [each for each in sorted(lower, key=zyx) if bounds.in_blocks(lm.edge).contain(each)]
    if not blocks:
        return Answer.missing()
    pieces = [np.empty((0, 4), np.int32)]
    for point in blocks:
        block = lm.at_scale(scale).get(place.version, point)
        if block is not None:
            pieces.append(runs_of(block, point, supervoxels, bounds))
    runs = joined(np.concatenate(pieces))
    if form == "srles":
        return Answer.binary(runs.astype("<i4").tobytes())
    if not len(runs):
        return Answer.binary(b"")
    return Answer.binary(compress(exchange.query.get("compression", ""), wire.write_runs(runs)))


def supervoxels_of(
    lm: Labelmap, place: Place, label: int, is_supervoxel: bool
) -> tuple[set[int], list[BlockPoint]]:
    """The supervoxels of a body, or the one asked for, and the blocks that they are in."""
    index = lm.index_for(place.version, label, is_supervoxel)
    if index is None or (is_supervoxel and label not in index.supervoxels):
        return set(), []
    supervoxels = {label} if is_supervoxel else set(index.supervoxels)
    numbers = {block for each in supervoxels for block in index.supervoxels[each]}
    return supervoxels, sorted((decode_block(each) for each in numbers), key=zyx)
