"""How many requests a server is asked at a time, by all that this process asks of it.

One limiter per server, told by scheme, host and port. A place is held while one request is under way, its
streamed answer included: not by a thread, and not by a step that asks several things.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

DEFAULT = 4
"""Requests in flight where nothing is said."""

_PORTS = {"http": 80, "https": 443}

Server = tuple[str, str, int]
"""Scheme, host and port."""


class Limiter:
    """Places for requests to one server. Who has waited longest gets the next one.

    Several clients of one server share it. Where they want different numbers, the smallest is what holds.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clients: WeakKeyDictionary[object, int] = WeakKeyDictionary()
        self._waiting: deque[threading.Event] = deque()
        self.under_way = 0
        """Requests that have a place now."""

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
    def place(self, word: float, waits: Callable[[float], None]) -> Iterator[None]:
        """Wait for a place, and hold it.

        Args:
            word: seconds after which, and each time they have doubled, `waits` is told of the seconds waited.
        """
        self._enter(word, waits)
        try:
            yield
        finally:
            with self._lock:
                self.under_way -= 1
                self._admit()

    def _enter(self, word: float, waits: Callable[[float], None]) -> None:
        turn = threading.Event()
        with self._lock:
            self._waiting.append(turn)
            self._admit()
        waited = 0.0
        try:
            while not turn.wait(word):
                waited, word = waited + word, max(word, waited + word)
                waits(waited)
        except BaseException:
            with self._lock:
                if turn.is_set():
                    self.under_way -= 1
                else:
                    self._waiting.remove(turn)
                self._admit()
            raise

    def _admit(self) -> None:
        number = min(self._clients.values(), default=DEFAULT)
        while self._waiting and self.under_way < number:
            self.under_way += 1
            self._waiting.popleft().set()


_limiters: dict[Server, Limiter] = {}
_lock = threading.Lock()


def limiter_of(url: str) -> Limiter:
    """The limiter of the server at an address, the same for each who asks in this process."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    server = scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(scheme, 0)
    with _lock:
        return _limiters.setdefault(server, Limiter())
