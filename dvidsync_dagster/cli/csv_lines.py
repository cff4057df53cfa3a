"""CSV for people, who open it in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from dvidsync_dagster.cli.output import echo

_BEGINS_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001


def echo_csv(cells: Iterable[str | int | None]) -> None:
    """Print a line. What a spreadsheet would take for a formula has an apostrophe before it, which makes it a
    text there; a number is a number."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(map(_plain, cells))
    echo(line.getvalue(), nl=False)


def _plain(cell: str | int | None) -> str | int:
    if not isinstance(cell, str):
        return "" if cell is None else cell
    text = f"'{cell}" if cell.startswith(_BEGINS_FORMULA) else cell
    return text.replace("\r", " ")  # it would end the line
