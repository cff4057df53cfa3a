"""What is logged of servers. Each line has fields of its own, besides its text:

server      the server's part of the configuration, such as ``destinations[copy]``, or its address
request     method and path, without the query
seconds     how long somebody has waited, or is about to
"""

from __future__ import annotations

import logging

from dvidsync_dagster.outgoing_text import escaped, scrubbed


def tell(
    logger: logging.Logger,
    text: str,
    *,
    server: str,
    request: str,
    seconds: float | None = None,
    level: int = logging.WARNING,
) -> None:
    """Log one line. No token is in it."""
    fields = {"server": scrubbed(server), "request": escaped(request, 300), "seconds": seconds}
    logger.log(level, "%s", scrubbed(text), extra=fields)
