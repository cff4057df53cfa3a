"""Whether somebody else can have changed bodies at a destination, told by its mutation ids.

Each label operation takes one id of the repo. While the next one is what it was plus one for each operation
that this run has sent, nobody else was at work, and no body need be looked at.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from dvidsync_dagster.dvid.labelmap import Labelmap

EVERY_SECONDS = 2.0


class Others:
    """Counts ids. It is asked by several threads.

    Args:
        next_id: asks the destination for its next mutation id.
    """

    def __init__(self, next_id: Callable[[], int]) -> None:
        self._next_id = next_id
        self._lock = threading.Lock()
        self._expected: int | None = None
        self._under_way = 0
        self._asked = float("-inf")
        self._none_ever = False
        self._span = 0

    def meet(self, undisturbed: int) -> None:
        """A pass begins.

        Args:
            undisturbed: the next id as it was when last told, see `undisturbed`; 0 if that tells nothing.
        """
        self._rest(self._next_id())
        self._none_ever = undisturbed != 0 and undisturbed == self._expected

    @property
    def undisturbed(self) -> int:
        """The next id, if nobody else was at work since the destination was met; else 0."""
        return self._expected or 0 if self._none_ever else 0

    def none_ever(self) -> bool:
        """Nobody else was at work since the destination was met, so all that it has is the source's."""
        return self.span() is not None and self._none_ever

    def span(self) -> int | None:
        """A number that stays the same while nobody else is at work; None while that cannot be told."""
        with self._lock:
            due = time.monotonic() >= self._asked + EVERY_SECONDS
            before = self._expected
        if due and before is not None:
            found = self._next_id()
            with self._lock:
                self._asked = time.monotonic()
                if self._expected is not None and not before <= found <= self._expected + self._under_way:
                    self._unsure()
        with self._lock:
            return self._span if self._expected is not None else None

    def at_rest(self) -> None:
        """Nothing is in flight."""
        found = self._next_id()
        if found != self._expected:
            self._unsure()
            self._rest(found)
        self._asked = time.monotonic()

    def unsure(self) -> None:
        """A request may have taken an id, or not."""
        with self._lock:
            self._unsure()

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Around a request that takes an id."""
        with self._lock:
            self._under_way += 1
        try:
            yield
        except BaseException:
            self.unsure()
            raise
        else:
            with self._lock:
                if self._expected is not None:
                    self._expected += 1
        finally:
            with self._lock:
                self._under_way -= 1

    def _unsure(self) -> None:
        self._expected, self._none_ever = None, False
        self._span += 1

    def _rest(self, found: int) -> None:
        self._expected = found
        self._asked = time.monotonic()


@dataclass(frozen=True, slots=True)
class CountedLabelmap(Labelmap):
    """A destination's labelmap, of which each operation is counted."""

    others: Others

    def merge(self, version: str, target: int, labels: Sequence[int], *, user: str, app: str) -> None:
        with self.others.sending():
            Labelmap.merge(self, version, target, labels, user=user, app=app)

    def cleave(self, version: str, label: int, supervoxels: Sequence[int], *, user: str, app: str) -> int:
        with self.others.sending():
            return Labelmap.cleave(self, version, label, supervoxels, user=user, app=app)

    def renumber(self, version: str, new: int, orig: int, *, user: str, app: str) -> None:
        with self.others.sending():
            Labelmap.renumber(self, version, new, orig, user=user, app=app)

    def split_supervoxel(
        self, version: str, supervoxel: int, split: int, remain: int, volume: bytes, *, user: str, app: str
    ) -> None:
        with self.others.sending():
            Labelmap.split_supervoxel(self, version, supervoxel, split, remain, volume, user=user, app=app)
