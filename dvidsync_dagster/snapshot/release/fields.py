"""Columns from neurons' JSON, whose fields can hold anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from dvidsync_dagster.dvid.exact_json import json_text

_EXACT = 2**53
"""Up to here a float64 holds each whole number."""


class Kinds:
    """What kinds of values a field holds."""

    def __init__(self) -> None:
        self._scalars: set[str] = set()
        self._lists: set[str] = set()
        self._has_lists = False

    def add(self, value: object) -> None:
        if isinstance(value, list):
            self._has_lists = True
            self._lists.update(map(_kind, value))
        elif value is not None:
            self._scalars.add(_kind(value))

    @property
    def type(self) -> pa.DataType | None:
        """The column's type; text, with JSON in it, for a field that holds various things. None: nothing."""
        if self._has_lists:
            item = _type(self._lists) if self._lists else pa.string()
            return pa.string() if self._scalars or item is None else pa.list_(item)
        return (_type(self._scalars) or pa.string()) if self._scalars else None


def _kind(value: object) -> str:
    match value:
        case bool():
            return "bool"
        case int():
            return "int" if abs(value) <= _EXACT else "large int" if -(2**63) <= value < 2**63 else "other"
        case float():
            return "float"
        case str():
            return "text"
        case _:
            return "other"


def _type(kinds: set[str]) -> pa.DataType | None:
    """The type that holds all of these exactly; None if there is none."""
    for allowed, found in _TYPES:
        if kinds <= allowed:
            return found
    return None


_TYPES = (
    ({"bool"}, pa.bool_()),
    ({"int", "large int"}, pa.int64()),
    ({"int", "float"}, pa.float64()),
    ({"text"}, pa.string()),
)


def column(values: Sequence[Any], wanted: pa.DataType) -> pa.Array:
    """Values as a column of a type that `Kinds` gave."""
    fit: Callable[[Any], Any] = _as_text if pa.types.is_string(wanted) else _same
    return pa.array([None if value is None else fit(value) for value in values], wanted)


def _same(value: Any) -> Any:
    return value


def _as_text(value: Any) -> str:
    text = value if isinstance(value, str) else json_text(value)
    return text.encode("utf-8", "replace").decode()
