"""Reads what requests bring: JSON bodies, labels, points."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from dvid_sandbox.exchange import Exchange, Refused

Point = tuple[int, int, int]
"""x, y, z of a voxel or a block."""


def read_json_object(body: bytes, complaint: str) -> dict[str, Any]:
    """The JSON object in a request's body; an empty body is an empty object.

    Raises:
        Refused: it is something else.
    """
    value = read_json(body, complaint) if body else {}
    if not isinstance(value, dict):
        raise Refused(f"{complaint}: {not_go(value, 'map[string]string')}")
    return value


def not_go(value: Any, wanted: str) -> str:
    """What Go's JSON package says of a value that has another type than the one wanted."""
    kinds: dict[type, str] = {dict: "object", list: "array", str: "string", bool: "bool"}
    return f"json: cannot unmarshal {kinds.get(type(value), 'number')} into Go value of type {wanted}"


def read_json(body: bytes, complaint: str) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        detail = "unexpected end of JSON input" if not body else f"invalid character ({error})"
        raise Refused(f"{complaint}: {detail}") from None


def read_labels(body: bytes, complaint: str) -> list[int]:
    """A JSON list of unsigned 64-bit numbers.

    Raises:
        Refused: it is something else; the text begins with `complaint`.
    """
    labels = _read_list(body, complaint, "uint64")
    for each in labels:
        if isinstance(each, bool) or not isinstance(each, int) or not 0 <= each < 2**64:
            raise Refused(f"{complaint}: {not_go(each, 'uint64')}")
    return labels


def _read_list(body: bytes, complaint: str, of: str) -> list[Any]:
    """A JSON list whose items should have the Go type `of`; null is the empty list."""
    value = read_json(body, complaint)
    if value is None:
        return []
    if not isinstance(value, list):
        raise Refused(f"{complaint}: {not_go(value, f'[]{of}')}")
    return value


def read_uint(text: str) -> int:
    """A label in a path or a query string.

    Raises:
        Refused: it is no unsigned 64-bit number.
    """
    if not (text.isascii() and text.isdigit()):
        raise Refused(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    value = int(text)
    if value >= 2**64:
        raise Refused(f'strconv.ParseUint: parsing "{text}": value out of range')
    return value


_PROTECTED = "Label 0 is protected background value and cannot be queried as body.\n"


def check_hash(exchange: Exchange) -> None:
    """Raises:
    Refused: ``hash=`` is not the MD5 of the body.
    """
    given = exchange.query.get("hash", "")
    wanted = hashlib.md5(exchange.body).hexdigest()
    if given not in ("", wanted):
        raise Refused(f"content hash incorrect.  expected {given}, got {wanted}")


def read_label(exchange: Exchange, complaint: str = _PROTECTED) -> int:
    """The label behind the endpoint; `complaint` is for 0."""
    if len(exchange.parts) < 5:
        raise Refused(f"DVID requires label to follow '{exchange.parts[3]}' command")
    label = read_uint(exchange.parts[4])
    if label == 0:
        raise Refused(complaint)
    return label


def read_point(text: str) -> Point:
    """``x_y_z`` in a path."""
    try:
        x, y, z = (int(each) for each in text.split("_"))
    except ValueError:
        raise Refused(f'String "{text}" cannot be converted to a 3d point') from None
    return x, y, z


def read_points(body: bytes, complaint: str) -> list[Point]:
    """A JSON list of ``[x, y, z]``.

    Raises:
        Refused: it is something else; the text begins with `complaint`.
    """
    points = []
    for each in _read_list(body, complaint, "dvid.Point3d"):
        if not isinstance(each, list) or not all(type(one) is int and abs(one) < 2**31 for one in each):
            raise Refused(f"{complaint}: {not_go(each, 'dvid.Point3d')}")
        x, y, z = [*each, 0, 0, 0][:3]
        points.append((x, y, z))
    return points


def read_scale(exchange: Exchange) -> int:
    """The resolution that ``scale=`` asks for; 0 is the highest.

    Raises:
        Refused: it is no number.
    """
    text = exchange.query.get("scale", "")
    try:
        return int(text or "0") & 0xFF
    except ValueError:
        raise Refused(f'bad scale specified: strconv.Atoi: parsing "{text}": invalid syntax') from None
