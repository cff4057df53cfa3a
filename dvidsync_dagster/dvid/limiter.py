"""How many requests a server is asked at a time, by all that this process asks of it, and which ones beside
each other.

One limiter per server, told by scheme, host and port. A place is held while one request is under way, its
streamed answer included: not by a thread, and not by a step that asks several things.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

DEFAULT = 4
"""Requests in flight where nothing is said."""

_PORTS = {"http": 80, "https": 443}

Server = tuple[str, str, int]
"""Scheme, host and port."""


class Beside(Enum):
    """What a request may be under way with."""

    ANY = auto()
    CHANGES = auto()
    """It changes something: with other changes, and with reads."""
    READS = auto()
    """With no change: see docs/dvid.md, "The repo beside changes"."""


@dataclass(frozen=True, slots=True, eq=False)
class _Turn:
    beside: Beside
    came: threading.Event = field(default_factory=threading.Event)


class Limiter:
    """Places for requests to one server. Who has waited longest gets the next one, save that reads do not
    wait behind what waits for changes to end.

    Several clients of one server share it. Where they want different numbers, the smallest is what holds.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clients: WeakKeyDictionary[object, int] = WeakKeyDictionary()
        self._waiting: list[_Turn] = []
        self._holding: set[_Turn] = set()

    @property
    def under_way(self) -> int:
        """Requests that have a place now."""
        return len(self._holding)

    def join(self, client: object, number: int) -> None:
        """From now on the client asks this server, with at most `number` requests under way."""
        with self._lock:
            self._clients[client] = number

    def leave(self, client: object) -> None:
        """The client asks nothing anymore."""
        with self._lock:
            self._clients.pop(client, None)
            self._admit()

    @contextmanager
    def place(
        self, word: float, waits: Callable[[float], None], beside: Beside = Beside.ANY
    ) -> Iterator[None]:
        """Wait for a place, and hold it.

        Args:
            word: seconds after which, and each time they have doubled, `waits` is told of the seconds waited.
        """
        turn = _Turn(beside)
        with self._lock:
            self._waiting.append(turn)
            self._admit()
        try:
            waited = 0.0
            while not turn.came.wait(word):
                waited, word = waited + word, max(word, waited + word)
                waits(waited)
            yield
        finally:
            with self._lock:
                self._holding.discard(turn)
                if not turn.came.is_set():
                    self._waiting.remove(turn)
                self._admit()

    def _admit(self) -> None:
        number = min(self._clients.values(), default=DEFAULT)
        held_up = False
        for turn in list(self._waiting):
            if self.under_way >= number:
                return
            if turn.beside is Beside.ANY or not (held_up or self._excludes(turn.beside)):
                self._waiting.remove(turn)
                self._holding.add(turn)
                turn.came.set()
            else:
                held_up = True

    def _excludes(self, beside: Beside) -> bool:
        """Whether a request that is under way keeps one out."""
        others = {turn.beside for turn in self._holding} - {Beside.ANY}
        return bool(others) and {beside} | others != {Beside.CHANGES}


_limiters: dict[Server, Limiter] = {}
_lock = threading.Lock()


def limiter_of(url: str) -> Limiter:
    """The limiter of the server at an address, the same for each who asks in this process."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    server = scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(scheme, 0)
    with _lock:
        return _limiters.setdefault(server, Limiter())
