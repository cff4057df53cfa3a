"""How far a labelmap reaches, and how large its voxels are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dvidsync_dagster.sandbox.exchange import Answer, Exchange, Refused
from dvidsync_dagster.sandbox.instance import Place
from dvidsync_dagster.sandbox.reading import Point, not_go, read_json, read_json_object

if TYPE_CHECKING:
    from dvidsync_dagster.sandbox.labelmap import Labelmap


def extents(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    given = read_json_object(exchange.body, "json")
    lm.set_extents(place.version, _point(given.get("MinPoint")), _point(given.get("MaxPoint")))
    return Answer()


def resolution(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:  # noqa: ARG001
    value = read_json(exchange.body, "json")
    if not isinstance(value, list) or not all(type(each) in (int, float) for each in value):
        raise Refused(not_go(value, "dvid.NdFloat32"))
    lm.voxel_size = [float(each) for each in value]
    return Answer()


def _point(value: Any) -> Point:
    if not isinstance(value, list) or not all(type(each) is int for each in value):
        raise Refused(not_go(value, "dvid.Point3d"))
    x, y, z = [*value, 0, 0, 0][:3]
    return x, y, z
