"""JSON whose numbers keep their digits, however deep it is nested.

What Python's own types would change (a number that no float holds digit for digit, such as 1e999; a whole
number of more digits than Python reads; lists within lists beyond `DEPTH`) stays the text that it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, DecimalException
from typing import Any, NoReturn

import orjson

DEPTH = 100
"""Lists and objects within each other that Python's own reader is trusted with."""


@dataclass(frozen=True, slots=True)
class JsonText:
    """A value as it was written."""

    text: str


def value_of(text: str) -> Any:
    """A value: Python's, or its text where that would change it.

    Raises:
        ValueError: it is no JSON.
    """
    try:
        return _read(text)
    except _Changed:
        end_of_value(text, whole=True)
        return JsonText(text.strip(_BLANKS))


def fields_of(text: str) -> dict[str, Any]:
    """The fields of an object, each as `value_of` it. The last one of a name counts, as for DVID.

    Raises:
        ValueError: it is no object in JSON.
    """
    try:
        fields = _read(text)
    except _Changed:
        reading = _Reading(text)
        reading.run(whole=True)
        is_object = text.lstrip(_BLANKS).startswith("{")
        fields = {json.loads(name): value_of(each) for name, each in reading.fields} if is_object else None
    if isinstance(fields, dict):
        return fields
    raise ValueError("it is no object")


def json_text(value: Any) -> str:
    """One text for each value, whatever the order of its fields: that of what was written stays."""
    if isinstance(value, JsonText):
        return value.text
    text = _written(value, ascii_only=False)
    # Half of a surrogate pair can only be written as an escape.
    return _written(value, ascii_only=True) if _HALF_PAIR.search(text) else text


def canonical(fields: Mapping[str, Any]) -> bytes:
    """The same of fields, for hashes."""
    return "\n".join(f"{json.dumps(name)}:{json_text(fields[name])}" for name in sorted(fields)).encode()


def is_json(text: str) -> bool:
    """Whether a text is JSON, by its grammar alone (RFC 8259)."""
    try:
        orjson.loads(text)
    except ValueError:
        # It refuses some JSON too: what is deep, large numbers, halves of surrogate pairs.
        try:
            value_of(text)
        except ValueError:
            return False
    return True


def end_of_value(text: str, place: int = 0, *, whole: bool = False) -> int:
    """Where a value ends that begins at a place.

    Args:
        whole: nothing but blanks may follow.

    Raises:
        ValueError: it is no JSON, or is cut off.
    """
    return _Reading(text, place).run(whole=whole)


class _Changed(Exception):
    """Python's types would change a value."""


_BLANKS = " \t\r\n"
_HALF_PAIR = re.compile(r"[\ud800-\udfff]")
_BRACKET = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{]|[\]}]', re.DOTALL)


def _written(value: Any, *, ascii_only: bool) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=ascii_only)


def _read(text: str) -> Any:
    if text.count("[") + text.count("{") > DEPTH and _depth(text) > DEPTH:
        raise _Changed
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError:
        raise
    except ValueError:
        raise _Changed from None  # digits beyond what Python reads


def _depth(text: str) -> int:
    depth = deepest = 0
    for match in _BRACKET.finditer(text):
        sign = match[0]
        if sign in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif sign in "]}":
            depth -= 1
    return deepest


def _float(digits: str) -> float:
    number = float(digits)
    if repr(number) == digits:
        return number
    try:
        if Decimal(repr(number)) == Decimal(digits):
            return number
    except DecimalException:
        pass
    raise _Changed


def _not_json(word: str) -> NoReturn:
    raise json.JSONDecodeError(f"{word} is no JSON", word, 0)


_DECODER = json.JSONDecoder(parse_float=_float, parse_constant=_not_json)

_TOKEN = re.compile(
    r"[ \t\r\n]*(?:"
    r'("[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*")'
    r"|(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null)"
    r"|([\[\]{},:]))"
)
_CLOSED_BY = {"[": "]", "{": "}"}


class _Reading:
    """One value that is gone through token by token, without recursion."""

    def __init__(self, text: str, place: int = 0) -> None:
        self.fields: list[tuple[str, str]] = []
        """Names and values of an object, as they are written."""
        self._text = text
        self._place = place
        self._open: list[str] = []
        self._wanted = "value"
        self._may_close = False
        self._name = ""
        self._begin = place

    def run(self, *, whole: bool) -> int:
        """Where it ends."""
        while self._wanted != "end":
            match = _TOKEN.match(self._text, self._place)
            if match is None:
                raise ValueError(f"it is no JSON at character {self._place}")
            self._take(match)
            self._place = match.end()
            if self._wanted == "next" and len(self._open) == 1 and self._name:
                self.fields.append((self._name, self._text[self._begin : self._place]))
                self._name = ""
        if whole and self._text[self._place :].strip(_BLANKS):
            raise ValueError(f"something follows the JSON at character {self._place}")
        return self._place

    def _take(self, match: re.Match[str]) -> None:
        text, _, sign = match.groups()
        if sign in ("]", "}"):
            self._close(sign)
        elif self._wanted == "name" and text is not None:
            self._note_name(text)
            self._wanted, self._may_close = "colon", False
        elif self._wanted == "colon" and sign == ":":
            self._wanted = "value"
            if len(self._open) == 1:
                self._begin = match.end()
        elif self._wanted == "next" and sign == ",":
            self._wanted = "name" if self._open[-1] == "{" else "value"
        elif self._wanted == "value" and sign in ("[", "{"):
            self._open.append(sign)
            self._wanted, self._may_close = ("name" if sign == "{" else "value"), True
        elif self._wanted == "value" and sign is None:
            self._value_ends()
        else:
            raise ValueError(f"it is no JSON at character {self._place}")

    def _note_name(self, text: str) -> None:
        if len(self._open) == 1:
            self._name = text

    def _close(self, sign: str) -> None:
        closable = self._wanted == "next" or self._may_close
        if not closable or not self._open or _CLOSED_BY[self._open[-1]] != sign:
            raise ValueError(f"it is no JSON at character {self._place}")
        self._open.pop()
        self._value_ends()

    def _value_ends(self) -> None:
        self._wanted = "next" if self._open else "end"
        self._may_close = False
