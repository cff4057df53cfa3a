"""The clients of the configured servers, opened the same way everywhere."""

from __future__ import annotations

from dvidsync_dagster.config import DestinationConfig, SyncConfig
from dvidsync_dagster.dvid.client import DvidClient
from dvidsync_dagster.dvid.patience import Patience

PATIENCE = Patience()

AT_ONCE = Patience(unreachable=0, busy=0, answer=PATIENCE.connect)
"""For whoever only wants to know if somebody answers."""


def open_source(config: SyncConfig, *, patience: Patience | None = None) -> DvidClient:
    """The source is only read, and logs who reads.

    Raises ConfigurationError if a token's variable is unset.
    """
    return DvidClient(
        config.source.url,
        place="source",
        token=config.source.token(),
        reads_as=config.source.user,
        patience=patience or PATIENCE,
    )


def open_destination(
    destination: DestinationConfig, *, administers: bool = False, patience: Patience | None = None
) -> DvidClient:
    """A destination.

    Args:
        administers: the admin token goes along with every change, not only where it must.

    Raises ConfigurationError if a token's variable is unset.
    """
    return DvidClient(
        destination.url,
        place=f"destinations[{destination.name}]",
        token=destination.token(),
        admin_token=destination.admin_token(),
        user=destination.user,
        administers=administers,
        connections=2 * destination.requests_in_flight + 8,
        patience=patience or PATIENCE,
    )
