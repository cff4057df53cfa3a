"""The kinds of destinations, and how the configured one is opened."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from dvidsync_dagster.config import DestinationConfig, SyncConfig
from dvidsync_dagster.destinations.dvid_server.beside import opened_beside
from dvidsync_dagster.destinations.dvid_server.opening import opened_server
from dvidsync_dagster.destinations.protocol import Comparable, Destination, Repairable
from dvidsync_dagster.destinations.source import Source
from dvidsync_dagster.dvid.transport import Transport


class Opener(Protocol):
    """Opens a destination for one run.

    Args:
        source: what it follows.
        is_new: nothing is known of it yet.
        still_owner: raises OwnershipLost if a newer run owns the destination.
        note: says something once per run.

    Raises:
        ConfigurationError: the configuration does not fit what is found there.
        ServerError: it does not answer.
    """

    def __call__(
        self,
        config: SyncConfig,
        destination: DestinationConfig,
        source: Source,
        *,
        is_new: bool,
        still_owner: Callable[[], None],
        note: Callable[[str], None],
    ) -> AbstractContextManager[Destination]: ...


opened_destination: Opener = opened_server
"""Opens a destination of the configured kind for a run."""


def opened_comparable(
    config: SyncConfig, destination: DestinationConfig, source: Transport
) -> AbstractContextManager[Comparable]:
    """Open a destination of the configured kind for a comparison. Raises as an `Opener`."""
    return opened_beside(config, destination, source, still_owner=_nothing, note=_nothing, administers=False)


def opened_repairable(
    config: SyncConfig,
    destination: DestinationConfig,
    source: Transport,
    *,
    still_owner: Callable[[], None],
    note: Callable[[str], None],
) -> AbstractContextManager[Repairable]:
    """Open a destination of the configured kind for a repair. Raises as an `Opener`."""
    return opened_beside(config, destination, source, still_owner=still_owner, note=note, administers=True)


def _nothing(*_: object) -> None:
    """Nothing is changed, so nothing is owned or said."""
