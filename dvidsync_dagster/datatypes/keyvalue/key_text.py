"""Keys as texts of a table, which must be UTF-8. Each key has one text, and each text is of one key.

A key that is UTF-8 is its own text, but for each U+FFFD in it, which is doubled. A byte that is no UTF-8 is
U+FFFD and two hexadecimal digits. So where DVID writes U+FFFD, the text begins with that, too.
"""

from __future__ import annotations

import re

from dvidsync_dagster.dvid.keyvalue import UNREADABLE

_ODD = re.compile(f"[\udc80-\udcff{UNREADABLE}]")
_WRITTEN = re.compile(f"{UNREADABLE}(?:([0-9a-f]{{2}})|{UNREADABLE})")

EXPLAINED = "A byte that is no UTF-8 is U+FFFD and two hexadecimal digits; U+FFFD itself is there twice."
"""The same for the readers of a table."""


def text_of(key: str) -> str:
    """The text of a key, in which ``surrogateescape`` put the bytes that are no UTF-8."""
    return _ODD.sub(_as_text, key)


def key_of(text: str) -> str:
    """The key with this text."""
    return _WRITTEN.sub(_as_key, text)


def _as_text(odd: re.Match[str]) -> str:
    character = odd[0]
    return UNREADABLE * 2 if character == UNREADABLE else f"{UNREADABLE}{ord(character) - 0xDC00:02x}"


def _as_key(found: re.Match[str]) -> str:
    digits = found[1]
    return UNREADABLE if digits is None else chr(0xDC00 + int(digits, 16))
