"""Sparse volumes of a labelmap over HTTP: the runs of voxels that a body or a supervoxel has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dvidsync_dagster.sandbox import wire
from dvidsync_dagster.sandbox.bounds import Bounds
from dvidsync_dagster.sandbox.compression import compress
from dvidsync_dagster.sandbox.exchange import Answer, Exchange, Lacking, Refused
from dvidsync_dagster.sandbox.instance import Place
from dvidsync_dagster.sandbox.reading import read_label
from dvidsync_dagster.sandbox.voxels import EDGE, BlockPoint, decode_block, joined, runs_of, zyx

if TYPE_CHECKING:
    from dvidsync_dagster.sandbox.labelmap import Labelmap

_PROTECTED = "Label 0 is protected background value and cannot be used as sparse volume.\n"


def sparsevol(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    if exchange.method not in ("GET", "HEAD"):
        raise Refused("POST of sparsevol not currently implemented\n")
    label = read_label(exchange, _PROTECTED)
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
    supervoxels = _supervoxels(lm, place, label, is_supervoxel)
    blocks = [each for each in supervoxels[1] if bounds.in_blocks(EDGE).contain(each)]
    if not blocks:
        return Answer.missing()
    pieces = [np.empty((0, 4), np.int32)]
    for point in blocks:
        block = lm.volume.get(place.version, point)
        if block is not None:
            pieces.append(runs_of(block, point, supervoxels[0], bounds))
    runs = joined(np.concatenate(pieces))
    if form == "srles":
        return Answer.binary(runs.astype("<i4").tobytes())
    if not len(runs):
        return Answer.binary(b"")
    return Answer.binary(compress(exchange.query.get("compression", ""), wire.write_runs(runs)))


def _supervoxels(
    lm: Labelmap, place: Place, label: int, is_supervoxel: bool
) -> tuple[set[int], list[BlockPoint]]:
    """The supervoxels of a body, or the one asked for, and the blocks that they are in."""
    index = lm.index_for(place.version, label, is_supervoxel)
    if index is None or (is_supervoxel and label not in index.supervoxels):
        return set(), []
    supervoxels = {label} if is_supervoxel else set(index.supervoxels)
    numbers = {block for each in supervoxels for block in index.supervoxels[each]}
    return supervoxels, sorted((decode_block(each) for each in numbers), key=zyx)
