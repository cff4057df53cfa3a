"""Servers that must be two and are one, whatever names, ports and proxies lie between.

A server's own word for the moment at which its process began tells: it comes out the same for one process
each time it is asked, and no two processes on a machine begin within the same microseconds. Nothing else
does: a copy of a folder on the same machine says the same of itself in all other respects.
"""

from __future__ import annotations

from contextlib import suppress

from dvidsync_dagster.clients import AT_ONCE, open_destination
from dvidsync_dagster.config import DestinationConfig, SyncConfig
from dvidsync_dagster.dvid.repo import read_server_info
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.errors import ConfigurationError, ServerError

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


def refuse_source(destination: DestinationConfig, source: Transport, copy: Transport) -> None:
    """Raises ConfigurationError if the destination is the source, ServerError if one does not answer."""
    if is_one_server(source, copy):
        raise ConfigurationError(
            f"destinations[{destination.name}].url",
            f"{copy.url} and source.url ({source.url}) are one server under two names",
            "A destination is another server, with a copy of the source's repo.",
        )


def refuse_twins(config: SyncConfig, destination: DestinationConfig, copy: Transport) -> None:
    """Ask the other destinations, as far as they answer at once.

    Raises ConfigurationError if one is this server too: two runs at a time would work on it.
    """
    for other in config.destinations:
        if other.name != destination.name and _answers_as(copy, other):
            raise ConfigurationError(
                f"destinations[{destination.name}].url",
                f"{copy.url} and destinations[{other.name}].url ({other.url}) are one server",
                "Name each server once.",
            )


def _answers_as(copy: Transport, other: DestinationConfig) -> bool:
    # What ails another destination is told by its own runs.
    with (
        suppress(ServerError, ConfigurationError),
        open_destination(other, patience=AT_ONCE) as client,
    ):
        return is_one_server(copy, client)
    return False
