"""What was left out of a destination: whatever touches the same later depends on it."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from dvidsync_dagster.plan.claims import Key, Rank


class LeftOut:
    """By key, the operations there that were left out. It is asked and changed by several threads."""

    def __init__(self) -> None:
        self._there: dict[Key, dict[str, Rank]] = {}
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._there)

    def add(self, keys: Iterable[Key], rank: Rank, where: str) -> None:
        """An operation was left out.

        Args:
            keys: what it touches.
            rank: its place among the operations on these keys.
            where: its place in the log.
        """
        with self._lock:
            for key in keys:
                self._there.setdefault(key, {})[where] = rank

    def forget(self, where: str) -> None:
        """It was not left out after all, or no longer shows."""
        with self._lock:
            for ranks in self._there.values():
                ranks.pop(where, None)
            self._there = {key: ranks for key, ranks in self._there.items() if ranks}

    def has(self, where: str) -> bool:
        """Whether the operation at a place in the log was left out."""
        with self._lock:
            return any(where in ranks for ranks in self._there.values())

    def before(self, keys: Iterable[Key], rank: Rank) -> list[str]:
        """The places of what was left out on one of the keys before an operation of this rank."""
        with self._lock:
            found = [self._there[key] for key in keys if key in self._there]
            return sorted({where for ranks in found for where, other in ranks.items() if other < rank})
