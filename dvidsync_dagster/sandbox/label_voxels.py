"""The voxels of a labelmap over HTTP: sparsevol, raw, label."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

from dvidsync_dagster.sandbox import wire
from dvidsync_dagster.sandbox.exchange import Answer, Exchange, Refused
from dvidsync_dagster.sandbox.golang import go_quote
from dvidsync_dagster.sandbox.instance import Place, Point, read_label, read_point
from dvidsync_dagster.sandbox.volume_writes import post_raw
from dvidsync_dagster.sandbox.voxels import decode_block, runs_of, zyx

if TYPE_CHECKING:
    from dvidsync_dagster.sandbox.labelmap import Labelmap


def sparsevol(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    if exchange.method not in ("GET", "HEAD"):
        raise Refused("POST of sparsevol not currently implemented\n")
    label = read_label(
        exchange, "Label 0 is protected background value and cannot be used as sparse volume.\n"
    )
    if exchange.query.get("format", "rles") != "rles":
        raise Refused(f"the sandbox has no sparsevol format {exchange.query['format']!r}, only rles")
    is_supervoxel = exchange.flag("supervoxels")
    index = lm.index_for(place.version, label, is_supervoxel)
    found = index is not None and bool(index.supervoxels)
    if exchange.method == "HEAD":
        return Answer(200 if found else 204, "text/html")
    if index is None or not found or (is_supervoxel and label not in index.supervoxels):
        return Answer.missing()
    supervoxels = {label} if is_supervoxel else set(index.supervoxels)
    numbers = {block for each in supervoxels for block in index.supervoxels[each]}
    runs = [np.empty((0, 4), np.int32)]
    for point in sorted((decode_block(each) for each in numbers), key=zyx):
        block = lm.volume.get(place.version, point)
        if block is not None:
            runs.append(runs_of(block, point, supervoxels))
    body = wire.write_runs(np.concatenate(runs))
    if exchange.query.get("compression") == "gzip":
        body = zlib.compress(body, wbits=31)
    return Answer.binary(body)


def raw(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    size, offset = _box(exchange)
    if exchange.method == "POST":
        post_raw(lm, exchange, place, size, offset)
        return Answer()
    labels = lm.volume.read(place.version, size, offset)
    if not exchange.flag("supervoxels"):
        ids, inverse = np.unique(labels, return_inverse=True)
        bodies = [lm.mapping.get(place.version, each) for each in ids.tolist()]
        mapped = [own if body is None else body for own, body in zip(ids.tolist(), bodies, strict=True)]
        labels = np.array(mapped, np.uint64)[inverse]
    return Answer.binary(labels.astype("<u8").tobytes())


def _box(exchange: Exchange) -> tuple[Point, Point]:
    if len(exchange.parts) < 7:
        raise Refused(f"'{exchange.parts[3]}' must be followed by shape/size/offset")
    if exchange.parts[4] != "0_1_2":
        raise Refused("DVID currently supports shapes of only 2 and 3 dimensions")
    if exchange.query.get("compression", "") not in ("", "gzip"):
        raise Refused(f"unknown compression type {go_quote(exchange.query['compression'])}")
    return read_point(exchange.parts[5]), read_point(exchange.parts[6])


def label_at_point(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    point = read_point(exchange.parts[4])
    at = lm.volume.label_at if exchange.flag("supervoxels") else lm.label_at
    return Answer.json(f'{{"Label": {at(place.version, point)}}}')
