"""Whether two addresses lead to one server, whatever names, ports and proxies lie between.

A server's own word for the moment at which its process began tells: it comes out the same for one process
each time it is asked, and no two processes on a machine begin within the same microseconds. Nothing else
does: a copy of a folder on the same machine says the same of itself in all other respects.
"""

from __future__ import annotations

from dvidsync_dagster.dvid.client import DvidClient
from dvidsync_dagster.dvid.repo import read_server_info

_APART = 20_000
"""Nanoseconds. What one process says differs by less than one microsecond, mostly."""

_LOOKS = 3


def is_one_server(one: DvidClient, other: DvidClient) -> bool:
    """Ask both, again if their beginnings are close but not the same. False if one does not tell its own.

    Raises ServerError if one does not answer.
    """
    for _ in range(_LOOKS):
        begun, other_begun = (read_server_info(client).started for client in (one, other))
        if begun is None or other_begun is None or abs(begun - other_begun) > 1000 * _APART:
            return False
        if abs(begun - other_begun) <= _APART:
            return True
    return False
