"""How many keys go in one request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

MAX_KEYS = 500
"""Keys in one request."""

MAX_BYTES = 8 * 2**20
"""Bytes of values in one request. A larger value goes alone."""


def fitting(sizes: Sequence[int]) -> Iterator[slice]:
    """What goes together, in order.

    Args:
        sizes: of each key's value, in bytes.
    """
    start = size = 0
    for place, bytes_here in enumerate(sizes):
        if place > start and (place - start == MAX_KEYS or size + bytes_here > MAX_BYTES):
            yield slice(start, place)
            start, size = place, 0
        size += bytes_here
    if start < len(sizes):
        yield slice(start, len(sizes))
