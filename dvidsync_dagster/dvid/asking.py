"""What a server says of itself and of a repo, and whether two servers are one.

See docs/dvid.md, "When a server was started". A server's own word for the moment at which its process began
tells that: it comes out the same for one process each time it is asked, and no two processes on a machine
begin within the same microseconds. Nothing else does: a copy of a folder on the same machine says the same of
itself in all other respects.
"""

from __future__ import annotations

from dvidsync_dagster.dvid.repo import RepoInfo, ServerInfo, read_repo_info, read_server_info
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.errors import ConfigurationError, RequestRefused

_APART = 20_000
"""Nanoseconds. A real DVID says the same within 100."""

_LOOKS = 3


def is_one_server(one: Transport, other: Transport) -> bool:
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


def ask_server(field: str, client: Transport, root: str) -> tuple[ServerInfo, RepoInfo]:
    """What the server says of itself, and after it of the repo.

    Raises:
        ConfigurationError: `field` names no DVID server, or one that has no such repo.
        ServerError: it does not answer as it should, which is no word about the configuration.
    """
    try:
        info = read_server_info(client)
    except RequestRefused as refusal:
        raise ConfigurationError(
            field, f"no DVID server answers there ({refusal})", "Check the address."
        ) from refusal
    try:
        return info, read_repo_info(client, root)
    except RequestRefused as refusal:
        raise ConfigurationError(
            "repo",
            f"{root} is not at {client.url} ({field}): {refusal.text.rstrip('.')}",
            "A destination is a copy of the source's repo, with the same root UUID.",
        ) from refusal
