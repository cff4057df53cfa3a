"""Whether a destination is still this run's, asked between its requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from dvidsync_dagster.errors import OwnershipLost

EVERY_SECONDS = 1.0


class Ownership:
    """Asks at most once in `EVERY_SECONDS`, from whatever thread; once lost, it stays lost.

    Args:
        still_owner: raises OwnershipLost if a newer run owns the destination.
    """

    def __init__(self, still_owner: Callable[[], None]) -> None:
        self._still_owner = still_owner
        self._lock = threading.Lock()
        self._asked = float("-inf")
        self._lost: OwnershipLost | None = None

    def check(self) -> None:
        """Raises OwnershipLost."""
        with self._lock:
            if self._lost is not None:
                raise self._lost
            now = time.monotonic()
            if now < self._asked + EVERY_SECONDS:
                return
            self._asked = now
            try:
                self._still_owner()
            except OwnershipLost as lost:
                self._lost = lost
                raise
