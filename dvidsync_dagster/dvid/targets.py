"""What the first line of a request asks for: path and query, of any length that a server takes.

A key may have 65,000 bytes, which are up to 195,000 characters in a path; a user may be as long as a
request's first line allows, which is 1 MiB at a DVID server (Go's default).
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode, urlsplit

from dvidsync_dagster.errors import RequestRefused

SERVER_TAKES = 1_000_000


def target_of(server: str, method: str, path: str, params: Mapping[str, str | int]) -> str:
    """A path (quoted already) with its query, at a server's URL.

    Raises:
        RequestRefused: no server takes so long a line.
    """
    query = urlencode(params, quote_via=quote)
    target = f"{quote(urlsplit(server).path, safe='/%')}{path}{'?' if query else ''}{query}"
    if len(target) > SERVER_TAKES:
        raise RequestRefused(
            f"{method} {path}",
            431,
            f"its key or user makes a line of {len(target):,} bytes, a server takes {SERVER_TAKES:,}",
        )
    return target
