"""What clients sent, for tests of how they send it: ``GET /sandbox/traffic``, ``DELETE`` to forget it.

The real server corrupts a body when two operations on it are in flight at once, and answers 200 to both.
This one takes requests one after the other and corrupts nothing, but it notes such pairs. Requests stay in
flight for as long as a `delay` or `gather` fault holds them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

_IN_BODY = ("merge", "renumber")
_IN_PATH = ("cleave", "split")


@dataclass
class Traffic:
    """Requests by endpoint, the most that were in flight at once, and pairs in flight that shared a body."""

    requests: Counter[str] = field(default_factory=Counter)
    most_in_flight: int = 0
    overlaps: list[dict[str, Any]] = field(default_factory=list)
    _in_flight: list[tuple[str, frozenset[int]]] = field(default_factory=list)

    @contextmanager
    def request(self, method: str, path: str, body: bytes) -> Iterator[None]:
        """Notes a request as in flight inside the block."""
        parts = path.split("/")
        endpoint = parts[5] if len(parts) > 5 and parts[2] == "node" else parts[-1]
        self.requests[f"{method} {endpoint}"] += 1
        place = "/".join(parts[:5])
        mine = path, _bodies(endpoint, parts, body) if method == "POST" else frozenset[int]()
        for other_path, others in self._in_flight:
            shared = mine[1] & others
            if shared and other_path.startswith(place + "/"):
                self.overlaps.append({"one": other_path, "other": path, "shared": sorted(shared)})
        self._in_flight.append(mine)
        self.most_in_flight = max(self.most_in_flight, len(self._in_flight))
        try:
            yield
        finally:
            self._in_flight.remove(mine)

    def told(self) -> dict[str, Any]:
        return {
            "requests": dict(sorted(self.requests.items())),
            "most in flight": self.most_in_flight,
            "overlaps": self.overlaps,
        }

    def forget(self) -> None:
        """Begins anew; what is in flight stays so."""
        self.requests.clear()
        self.most_in_flight = len(self._in_flight)
        self.overlaps = []


def _bodies(endpoint: str, parts: list[str], body: bytes) -> frozenset[int]:
    """The bodies that an operation on labels works on, as far as the request alone tells."""
    if endpoint in _IN_PATH and len(parts) > 6 and parts[6].isdigit():
        return frozenset({int(parts[6])})
    if endpoint not in _IN_BODY:
        return frozenset()
    try:
        return frozenset(orjson.loads(body))
    except (orjson.JSONDecodeError, TypeError):
        return frozenset()
