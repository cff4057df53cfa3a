"""The voxels of a labelmap over HTTP: raw, label."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dvid_sandbox.compression import compress
from dvid_sandbox.exchange import Answer, Exchange, Lacking, Refused
from dvid_sandbox.instance import Place
from dvid_sandbox.reading import Point, check_hash, read_point, read_points, read_scale
from dvid_sandbox.volume_writes import post_raw

if TYPE_CHECKING:
    from dvid_sandbox.labelmap import Labelmap


def raw(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    size, offset = _box(exchange)
    if exchange.method == "POST":
        post_raw(lm, exchange, place, size, offset)
        return Answer()
    labels = lm.at_scale(read_scale(exchange)).read(place.version, size, offset)
    if not exchange.flag("supervoxels"):
        ids, inverse = np.unique(labels, return_inverse=True)
        bodies = [lm.mapping.get(place.version, each) for each in ids.tolist()]
        mapped = [own if body is None else body for own, body in zip(ids.tolist(), bodies, strict=True)]
        labels = np.array(mapped, np.uint64)[inverse]
    return Answer.binary(compress(exchange.query.get("compression", ""), labels.astype("<u8").tobytes()))


def _box(exchange: Exchange) -> tuple[Point, Point]:
    if len(exchange.parts) < 7:
        raise Refused(f"'{exchange.parts[3]}' must be followed by shape/size/offset")
    if exchange.parts[4] in ("0_1", "0_2", "1_2", "xy", "xz", "yz"):
        raise Lacking("slices of voxels, as pictures")
    if exchange.parts[4] != "0_1_2":
        raise Refused("DVID currently supports shapes of only 2 and 3 dimensions")
    return read_point(exchange.parts[5]), read_point(exchange.parts[6])


def label_at_point(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    if len(exchange.parts) < 5:
        raise Refused("DVID requires coord to follow 'label' command")
    (label,) = _labels_at(lm, exchange, place, [read_point(exchange.parts[4])])
    return Answer.json(f'{{"Label": {label}}}')


def labels_at_points(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    if exchange.method != "GET":
        raise Refused("Batch labels query must be a GET request")
    check_hash(exchange)
    points = read_points(exchange.body, "Bad labels request JSON")
    found = _labels_at(lm, exchange, place, points)
    return Answer.json("[" + ",".join(str(each) for each in found) + "]")


def _labels_at(lm: Labelmap, exchange: Exchange, place: Place, points: list[Point]) -> list[int]:
    scale = read_scale(exchange)
    if exchange.flag("supervoxels"):
        return [lm.at_scale(scale).label_at(place.version, each) for each in points]
    return [lm.label_at(place.version, each, scale) for each in points]
