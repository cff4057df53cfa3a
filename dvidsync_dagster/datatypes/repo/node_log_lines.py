"""The log of a node: which lines of it a destination has already."""

from __future__ import annotations

from collections.abc import Sequence

from dvidsync_dagster.dvid.times import line_time


def has_lines(
    lines: tuple[str, ...], logged_ns: int, source: Sequence[str], destination: Sequence[str]
) -> bool:
    """Whether lines that the source added to a node's log are at the destination already.

    See docs/dvid.md, "Lines of node logs". A line of a node's log is ``TIME  text``, and the same text can
    stand there many times. The destination has the source's lines up to some point, perhaps with lines of its
    own between them; these are there if their place at the source, found by text and time, lies before that
    point. No lines (DVID announces them, even where it refuses to add them) are everywhere.

    Args:
        logged_ns: when the source announced them, ns since 1970.
        source, destination: the whole logs.
    """
    if not lines:
        return True
    texts = [_line_text(line) for line in source]
    reached = 0
    for line in destination:
        if reached < len(texts) and _line_text(line) == texts[reached]:
            reached += 1
    second = logged_ns // 1_000_000_000
    places = [
        place
        for place in range(len(source) - len(lines) + 1)
        if tuple(texts[place : place + len(lines)]) == lines
        and second - _LINE_SECONDS <= line_time(source[place].partition("  ")[0]) // 1_000_000_000 <= second
    ]
    return bool(places) and max(places) + len(lines) <= reached


_LINE_SECONDS = 5
"""How long before its announcement a line can have been written."""


def _line_text(line: str) -> str:
    return line.partition("  ")[2]
