"""How far a labelmap reaches, and how large its voxels are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dvid_sandbox.exchange import Answer, Exchange, Refused
from dvid_sandbox.golang import go_json, go_numbers
from dvid_sandbox.instance import Place
from dvid_sandbox.reading import Point, not_go, read_json, read_json_object

if TYPE_CHECKING:
    from dvid_sandbox.labelmap import Labelmap


def extents(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    given = read_json_object(exchange.body, "json")
    lm.set_extents(place.version, _point(given.get("MinPoint")), _point(given.get("MaxPoint")))
    return Answer()


def metadata(lm: Labelmap, _exchange: Exchange, place: Place) -> Answer:
    """How far it reaches along each axis, and its properties."""
    low, high = lm.extents(place.version) or (None, None)
    axes = [
        {
            "Label": name,
            "Resolution": go_numbers(lm.voxel_size[axis]),
            "Units": "nanometers",
            "Size": 0 if low is None or high is None else high[axis] - low[axis] + 1,
            "Offset": 0 if low is None else low[axis],
        }
        for axis, name in enumerate("XYZ")
    ]
    text = go_json({"Axes": axes, "Properties": lm.properties(place.version)})
    return Answer(200, "application/vnd.dvid-nd-data+json", text + b"\n")


def resolution(lm: Labelmap, exchange: Exchange, _place: Place) -> Answer:
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
