"""The clients of the configured servers, opened the same way everywhere: the one place that knows which
transport it is. Each logs who reads, and keeps to the number of requests that the configuration allows."""

from __future__ import annotations

from dvidsync_dagster.config import DestinationConfig, SyncConfig
from dvidsync_dagster.dvid.http import DvidClient
from dvidsync_dagster.dvid.patience import Patience
from dvidsync_dagster.dvid.writing import Nothing, Writes

PATIENCE = Patience()

AT_ONCE = Patience(unreachable=0, busy=0, answer=PATIENCE.connect)
"""For whoever only wants to know if somebody answers."""


def open_source(config: SyncConfig, *, patience: Patience | None = None) -> DvidClient:
    """The source is only read: nothing can be changed by this client.

    Raises ConfigurationError if a token's variable is unset.
    """
    return DvidClient(
        config.source.url,
        place="source",
        token=config.source.token(),
        reads_as=config.source.user,
        requests_in_flight=config.source.requests_in_flight,
        patience=patience or PATIENCE,
        writes=Nothing(),
    )


def open_destination(
    destination: DestinationConfig,
    *,
    writes: Writes,
    administers: bool = False,
    patience: Patience | None = None,
) -> DvidClient:
    """A destination.

    Args:
        writes: what may be changed there.
        administers: the admin token goes along with every change, not only where it must.

    Raises ConfigurationError if a token's variable is unset.
    """
    return DvidClient(
        destination.url,
        place=f"destinations[{destination.name}]",
        token=destination.token(),
        admin_token=destination.admin_token(),
        user=destination.user,
        reads_as=destination.user,
        administers=administers,
        requests_in_flight=destination.requests_in_flight,
        patience=patience or PATIENCE,
        writes=writes,
    )
