"""Addresses longer than an HTTP library takes.

A key may have 65,000 bytes, which are up to 195,000 characters in a path; a user may be as long as a
request's first line allows, which is 1 MiB at a DVID server (Go's default). httpx takes 65,536 characters,
but sends whatever its `target` extension says instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode, urlsplit

from dvidsync_dagster.errors import RequestRefused

LIBRARY_TAKES = 60_000
SERVER_TAKES = 1_000_000


@dataclass(frozen=True, slots=True)
class Address:
    """What httpx is given for one request."""

    path: str
    params: Mapping[str, str | int]
    extensions: dict[str, bytes] = field(default_factory=dict)


def address(server: str, method: str, path: str, params: Mapping[str, str | int]) -> Address:
    """A path (quoted already) with its query, at a server's URL.

    Raises:
        RequestRefused: no server takes so long a line.
    """
    if len(path) + sum(len(str(value)) for value in params.values()) < LIBRARY_TAKES // 12:
        return Address(path, params)
    query = urlencode(params, quote_via=quote)
    target = f"{urlsplit(server).path}{path}{'?' if query else ''}{query}"
    if len(target) > SERVER_TAKES:
        raise RequestRefused(
            f"{method} {path}",
            431,
            f"its key or user makes a line of {len(target):,} bytes, a server takes {SERVER_TAKES:,}",
        )
    if len(target) < LIBRARY_TAKES:
        return Address(path, params)
    return Address("/", {}, {"target": target.encode()})
