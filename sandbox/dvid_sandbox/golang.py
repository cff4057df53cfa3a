"""Texts as Go's standard library writes them: JSON, times, quoted strings."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson


def go_json(value: Any) -> bytes:
    """JSON with the keys in the order given, and with Go's escapes (``<``, ``>``, ``&``, line separators)."""
    try:
        text = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    except orjson.JSONEncodeError:
        whole = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        text = _NO_UTF8.sub(r"\\ufffd", whole).encode()
    # These can only stand inside strings.
    for plain, escaped in _ESCAPES:
        if plain in text:
            text = text.replace(plain, escaped)
    return text


_ESCAPES = (
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)


_NO_UTF8 = re.compile("[\udc80-\udcff]")
"""A byte of a Go string that is no UTF-8, as ``surrogateescape`` puts it into a `str`."""


def go_bytes(text: str) -> bytes:
    """The bytes of a Go string, which need not be UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def go_map(value: dict[str, Any]) -> bytes:
    """JSON of a Go map: sorted by key at the top, nested values as they are."""
    return go_json(dict(sorted(value.items())))


def go_numbers(value: Any) -> Any:
    """Whole floats become ints, as Go prints them."""
    if isinstance(value, float) and value.is_integer() and math.fabs(value) < 1e21:
        return int(value)
    if isinstance(value, list):
        return [go_numbers(each) for each in value]
    if isinstance(value, dict):
        return {key: go_numbers(each) for key, each in value.items()}
    return value


def go_quote(text: str) -> str:
    """Go's ``%q`` for the strings that occur here."""
    return go_json(text).decode()


@lru_cache(maxsize=64)
def _date_and_time(seconds: int) -> tuple[str, str]:
    """UTC. Cached, as a busy server asks for the same second over and over."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.strftime("%Y-%m-%d"), moment.strftime("%H:%M:%S")


def rfc3339(nanoseconds: int) -> str:
    """Whole seconds, UTC: ``2026-11-23T05:18:01Z``."""
    return "T".join(_date_and_time(nanoseconds // 10**9)) + "Z"


def _fraction(nanoseconds: int) -> str:
    digits = f"{nanoseconds % 10**9:09d}".rstrip("0")
    return f".{digits}" if digits else ""


def rfc3339_nano(nanoseconds: int) -> str:
    """``2026-11-23T05:18:01.593571003Z``, as JSON shows a time."""
    whole = "T".join(_date_and_time(nanoseconds // 10**9))
    return f"{whole}{_fraction(nanoseconds)}Z"


def go_time(nanoseconds: int, started: int) -> str:
    """What ``time.Now().String()`` gives in a process that started at `started`."""
    whole = " ".join(_date_and_time(nanoseconds // 10**9))
    elapsed = max(nanoseconds - started, 0)
    return f"{whole}{_fraction(nanoseconds)} +0000 UTC m=+{elapsed // 10**9}.{elapsed % 10**9:09d}"
