"""Queries of neuronjson: which annotations match a list of wanted fields."""

from __future__ import annotations

import re
from typing import Any

import orjson

from dvid_sandbox.exchange import Refused

Fields = dict[str, Any]
_EXISTS = "exists/"
_PATTERN = "re/"


def read_queries(body: bytes) -> list[Fields]:
    """Wanted fields, of which an annotation must match one set at least.

    Raises:
        Refused: the body is neither a JSON object nor a list of them, or there is none.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = 0
    if isinstance(value, dict):
        return [value]
    if value is not None and not (isinstance(value, list) and all(isinstance(each, dict) for each in value)):
        raise Refused(f"unable to parse JSON query: {body.decode('utf-8', 'replace')}")
    if not value:
        raise Refused("no query provided")
    return value


def only_bodies(queries: list[Fields]) -> list[int] | None:
    """The bodies of queries that ask for nothing else, in their order; None for other queries."""
    bodies: list[int] = []
    for query in queries:
        for name, wanted in query.items():
            numbers = [] if wanted is None else wanted if isinstance(wanted, list) else [wanted]
            if name != "bodyid" or not all(_is_integer(each) for each in numbers):
                return None
            bodies += numbers
    return bodies


def matches(queries: list[Fields], fields: Fields) -> bool:
    return any(all(_matches(wanted, name, fields) for name, wanted in query.items()) for query in queries)


def _matches(wanted: Any, name: str, fields: Fields) -> bool:
    value = fields.get(name)
    if isinstance(wanted, str) and wanted.startswith(_EXISTS) and len(wanted) == len(_EXISTS) + 1:
        return (value is None) == wanted.endswith("0")
    if isinstance(wanted, float):
        return False  # DVID looks for such in lists only
    found = value if isinstance(value, list) else [value]
    if isinstance(value, list) and not (
        all(_is_integer(each) for each in found) or all(isinstance(each, str) for each in found)
    ):
        return False
    asked = wanted if isinstance(wanted, list) else [wanted]
    return any(_same(each, one) for each in asked for one in found)


def _same(wanted: Any, value: Any) -> bool:
    if isinstance(wanted, str) and isinstance(value, str):
        if wanted.startswith(_PATTERN) and len(wanted) > len(_PATTERN):
            return re.search(wanted.removeprefix(_PATTERN), value) is not None
        return wanted == value
    if isinstance(wanted, bool) or isinstance(value, bool):
        return False
    if isinstance(wanted, int | float) and isinstance(value, int | float):
        return wanted == value and _is_integer(wanted) == _is_integer(value)
    return False


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
