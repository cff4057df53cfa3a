"""The first change of a labelmap's version goes alone, after a read of the mapping.

See docs/dvid.md, "The first change of a version". DVID reads a version's own log when the mapping is first
asked for, and opens it when it is first written. Two requests that do either at once get "file already
closed", or write into each other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from dvidsync_dagster.dvid.labelmap import Labelmap


@dataclass
class Turn:
    """One version of a labelmap. Whoever changes it sets `done` once a change was made in this run."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    done: bool = False


class FirstChanges:
    """Which versions were changed in this run. It is asked by several threads.

    Args:
        labelmap: gives the destination's labelmap of that name.
    """

    def __init__(self, labelmap: Callable[[str], Labelmap]) -> None:
        self._labelmap = labelmap
        self._turns: dict[tuple[str, str], Turn] = {}

    def forget(self) -> None:
        """The server may have been started again: what comes next is a first change."""
        self._turns.clear()

    @contextmanager
    def turn(self, instance: str, version: str) -> Iterator[Turn]:
        """Hold all others off until the change inside is made, if it is the first one of its version."""
        turn = self._turns.setdefault((instance, version), Turn())
        if turn.done:
            yield turn
            return
        with turn.lock:
            if not turn.done:
                self._labelmap(instance).mapping(version, [1])
            yield turn
