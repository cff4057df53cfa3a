"""How far a run is, on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dvidsync_dagster.cli.output import echo

Say = Callable[[str], None]
Track = Callable[[int, int], None]


@contextmanager
def progress_bar() -> Iterator[tuple[Say, Track | None]]:
    """What prints a line, and what moves the bar by a chunk: its records, and how many are left.

    Without a terminal there is no bar. A log has the same numbers in its lines.
    """
    if not sys.stderr.isatty():
        yield _print, None
        return
    from tqdm import tqdm  # takes a tenth of a second

    with tqdm(unit=" records", leave=False, file=sys.stderr) as bar:

        def say(line: str) -> None:
            with tqdm.external_write_mode(sys.stderr):
                _print(line)

        def track(records: int, left: int) -> None:
            bar.total = bar.n + records + left
            bar.update(records)

        yield say, track


def _print(line: str) -> None:
    echo(f"  {line}")
