"""A record's JSON, read with suspicion: every field is checked for type and range."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from dvidsync_dagster.errors import UndecodableRecord
from dvidsync_dagster.events.origin import Origin

MAX_LABEL = 2**64 - 1
_MAX_NAME = 1024
_CONTROL = re.compile(r"[\x00-\x1f]")
_SHOWN = 80


def shown(value: object) -> str:
    """A decoded value for a message: short, and cheap to make, however long or deep the value is."""
    match value:
        case str():
            return repr(value) if len(value) <= _SHOWN else f"{value[:_SHOWN]!r}… ({len(value)} characters)"
        case bool() | None:
            return {None: "null", True: "true", False: "false"}[value]
        case int() if value.bit_length() > 128:
            return f"a number of {value.bit_length()} bits"
        case int() | float():
            return str(value)
        case list():
            return f"a list of {len(value)}"
        case dict():
            return f"an object of {len(value)} fields"
        case _:
            return f"a {type(value).__name__}"


@dataclass(frozen=True, slots=True)
class Message:
    """One decoded JSON object and where it came from.

    The getters raise UndecodableRecord, naming record and field, for a field that is missing or wrong.
    """

    origin: Origin
    fields: Mapping[str, Any]

    @classmethod
    def parse(cls, origin: Origin, value: bytes) -> Message:
        try:
            fields = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise UndecodableRecord(str(origin), f"no JSON ({error})") from None
        if not isinstance(fields, dict):
            raise UndecodableRecord(str(origin), f"JSON, but no object: {shown(fields)}")
        return cls(origin, fields)

    @property
    def action(self) -> str:
        return self.text("Action")

    @property
    def version(self) -> str:
        return self.name("UUID")

    def wrong(self, found: str) -> UndecodableRecord:
        return UndecodableRecord(str(self.origin), found)

    def text(self, field: str, default: str | None = None) -> str:
        value = self.fields.get(field, default)
        if not isinstance(value, str):
            raise self.wrong(f"field {field!r} is {shown(value)}, not text")
        return value

    def name(self, field: str) -> str:
        """Text that is part of a URL path: not empty, no control characters."""
        value = self.text(field)
        if not value or len(value) > _MAX_NAME or _CONTROL.search(value):
            raise self.wrong(f"field {field!r} is {shown(value)}, which cannot be a name")
        return value

    def count(self, field: str, default: int | None = None) -> int:
        """A whole number from 0 to 2**64 - 1."""
        return self._unsigned(field, self.fields.get(field, default))

    def label(self, field: str) -> int:
        """A label: a whole number from 1 to 2**64 - 1."""
        return self._label(field, self.fields.get(field))

    def labels(self, field: str, *, may_be_empty: bool = False) -> tuple[int, ...]:
        """A list of labels; a label that is named twice counts once. Null is the empty list."""
        value = self.fields.get(field) or []
        if not isinstance(value, list) or not (value or may_be_empty):
            raise self.wrong(f"field {field!r} is no list of labels: {shown(value)}")
        if len(value) == 1:  # nearly always
            return (self._label(field, value[0]),)
        return tuple(dict.fromkeys(self._label(field, item) for item in value))

    def mapping(self, field: str) -> Mapping[str, Any]:
        value = self.fields.get(field)
        if not isinstance(value, dict):
            raise self.wrong(f"field {field!r} is {shown(value)}, not an object")
        return value

    def texts(self, field: str) -> tuple[str, ...]:
        """A list of texts; null and a missing field are the empty list."""
        value = self.fields.get(field)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(f"field {field!r} is {shown(value)}, not a list of texts")
        return tuple(value)

    def _label(self, field: str, value: object) -> int:
        label = self._unsigned(field, value)
        if label == 0:
            raise self.wrong(f"field {field!r} holds label 0, which is the background")
        return label

    def _unsigned(self, field: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_LABEL:
            raise self.wrong(f"field {field!r} is {shown(value)}, not a whole number from 0 to 2**64 - 1")
        return value
