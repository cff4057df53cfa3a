"""The log of a repo: when instances were made, and under which names. Pure.

Its times are whole seconds. People can add lines of their own, which look the same (docs/dvid.md, "Lines of
the repo's log").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from dvidsync_dagster.dvid.times import line_time

_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_MADE = re.compile(rf"New data instance {_QUOTED} ")
_RENAMED = re.compile(rf"Renamed data instance {_QUOTED} to {_QUOTED}")
_ESCAPE = re.compile(r"\\(x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|.)")
_CONTROLS = dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True))


def births(log: Iterable[str], name: str) -> list[int]:
    """When instances were made with this name (ns since 1970, whole seconds)."""
    return [moment for moment, made in _made(log) if made == name]


def born(log: Iterable[str]) -> dict[str, int]:
    """When the instances were made (ns since 1970, whole seconds), by the names that they have now."""
    found: dict[str, int] = {}
    for line in log:
        if (making := _making(line)) is not None:
            found[making[1]] = making[0]
        elif (renamed := _RENAMED.match(line.partition("  ")[2])) is not None:
            old, new = map(_unquoted, renamed.groups())
            found.pop(new, None)
            if old in found:
                found[new] = found.pop(old)
    return found


def _made(log: Iterable[str]) -> Iterator[tuple[int, str]]:
    return (making for line in log if (making := _making(line)) is not None)


def _making(line: str) -> tuple[int, str] | None:
    moment, _, text = line.partition("  ")
    made = _MADE.match(text)
    time = line_time(moment) if made is not None else 0
    return (time, _unquoted(made[1])) if made is not None and time else None


def _unquoted(text: str) -> str:
    """What stands between the quotes of a text as Go writes it."""
    return _ESCAPE.sub(_character, text)


def _character(escape: re.Match[str]) -> str:
    code = escape[1]
    if len(code) == 1:
        return _CONTROLS.get(code, code)
    number = int(code[1:], 16)
    return chr(number) if number <= 0x10FFFF else "\ufffd"
