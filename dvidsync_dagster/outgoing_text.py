"""Text that leaves us: messages, notes, metadata, the terminal. What it holds was written by others.

`scrubbed` takes out secrets, `escaped` makes visible what a terminal or a log would obey, `markdown` shows
text as it is where Markdown is rendered. `escaped` and `markdown` scrub too.
"""

from __future__ import annotations

import json
import re
import threading
from functools import lru_cache

QUOTED = 500
"""Characters of a quoted text."""

_HIDDEN = "***"
_SHORT = 6
"""A secret below this length is taken out only where it stands alone, or no text would be left."""
_NONE = 4
"""Below this length it is no secret: anybody would guess it."""

_secrets: set[str] = set()
_lock = threading.Lock()


def keep_secret(secret: str) -> None:
    """From now on no outgoing text shows it. Called wherever a secret is read."""
    if len(secret) >= _NONE:
        with _lock:
            _secrets.add(secret)


def scrubbed(text: str) -> str:
    """The text without any secret, percent-encoded or as JSON and HTML write it too."""
    with _lock:
        secrets = tuple(sorted(_secrets, key=len, reverse=True))
    for secret in secrets:
        text = _pattern(secret).sub(_HIDDEN, text)
    return text


def escaped(text: str, limit: int = QUOTED) -> str:
    """One line of at most `limit` characters: control characters, line breaks, ANSI sequences and what turns
    the direction of writing around are shown as ``\\n`` or ``\\u202e``."""
    # Cut first: it may be 60 MB. What is beyond the limit is room for secrets, which can be long.
    head = scrubbed(text[: 8 * limit + 100_000])
    shown = "".join(map(_visible, head[: limit + 1]))
    if len(text) <= len(head) and len(head) <= limit and len(shown) <= limit:
        return shown
    mark = f"… ({len(text):,} characters)"
    return shown[: max(0, limit - len(mark))] + mark


def is_whole(shown: str) -> bool:
    """Whether a text that `escaped` made is the one that it was made of; False where that is not sure."""
    return not any(mark in shown for mark in ("\\", "…", _HIDDEN))


def markdown(text: str, limit: int = QUOTED) -> str:
    """The text as Markdown that shows it as it is: no link, picture, table, heading or HTML comes of it.

    Plain text stays as it is, for not all that shows Markdown takes the backslashes away.
    """
    shown = escaped(text, limit).strip()  # what is indented would be code
    return shown if _PLAIN.fullmatch(shown) else _MARKS.sub(r"\\\g<0>", shown)


def python_text(text: str) -> str:
    """The text as Python's source has it, in double quotes where nothing is odd. It is not cut."""
    return json.dumps(text) if text.isascii() and text.isprintable() else repr(text)


_PLAIN = re.compile(
    r"(?!.*www\.)(?!\d+[.)])"  # no link, no list
    r"(?:[A-Za-z0-9 ,.;()'/]|(?<=[A-Za-z0-9])[_-](?=[A-Za-z0-9])|(?<!^):(?= |$))*"
)
_MARKS = re.compile(r"[\\`*_{}\[\]()<>#+\-.!|~&:@$]")


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")


@lru_cache(maxsize=256)
def _pattern(secret: str) -> re.Pattern[str]:
    whole = "".join(map(_written, secret))
    return re.compile(rf"(?<!\w){whole}(?!\w)" if len(secret) < _SHORT else whole)


def _written(character: str) -> str:
    """All the ways in which a character of a secret can be written."""
    code = ord(character)
    ways = [re.escape(character), _any_case("".join(f"%{byte:02x}" for byte in character.encode()))]
    # Encoded twice, as a redirect does with the address that was asked for.
    ways.append(_any_case("".join(f"%25{byte:02x}" for byte in character.encode())))
    ways += [_any_case(rf"\u{code:04x}"), f"&#0*{code};", f"&#[xX]0*{_any_case(f'{code:x}')};"]
    if character in '"\\/':
        ways.append(re.escape("\\" + character))
    named = {" ": "+", "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}.get(character)
    if named:
        ways.append(re.escape(named))
    return f"(?:{'|'.join(ways)})"


def _any_case(text: str) -> str:
    return "".join(f"[{c}{c.upper()}]" if "a" <= c <= "f" else re.escape(c) for c in text)


def counted(number: int, one: str, several: str = "") -> str:
    """A number with its noun: ``1 row``, ``1,000 rows``.

    Args:
        one: the noun for one.
        several: for any other number, if that is not `one` with an s.
    """
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"
