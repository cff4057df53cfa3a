"""The kinds of destinations, and how the configured one is opened."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from dvidsync_dagster.config import AnyDestination, BucketConfig, DestinationConfig, SyncConfig
from dvidsync_dagster.destinations.protocol import Comparable, Destination, Repairable
from dvidsync_dagster.destinations.source import Source
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.errors import ConfigurationError


class Opener(Protocol):
    """Opens a destination for one run.

    Args:
        source: what it follows.
        is_new: nothing is known of it yet.
        still_owner: raises OwnershipLost if a newer run owns the destination.
        note: says something once per run.

    Raises:
        ConfigurationError: the configuration does not fit what is found there.
        ServerError, StorageError: it does not answer.
    """

    def __call__(
        self,
        config: SyncConfig,
        destination: AnyDestination,
        source: Source,
        *,
        is_new: bool,
        still_owner: Callable[[], None],
        note: Callable[[str], None],
    ) -> AbstractContextManager[Destination]: ...


def opened_destination(
    config: SyncConfig,
    destination: AnyDestination,
    source: Source,
    *,
    is_new: bool,
    still_owner: Callable[[], None],
    note: Callable[[str], None],
) -> AbstractContextManager[Destination]:
    """Open a destination of the configured kind for a run. An `Opener`."""
    if isinstance(destination, BucketConfig):
        # What writes tables is an optional part of the installation.
        from dvidsync_dagster.destinations.bucket.opening import opened_bucket

        return opened_bucket(destination, source, still_owner=still_owner, note=note)
    # What the runs of buckets do without.
    from dvidsync_dagster.destinations.dvid_server.opening import opened_server

    server = server_only(destination)
    return opened_server(config, server, source, is_new=is_new, still_owner=still_owner, note=note)


def opened_comparable(
    config: SyncConfig, destination: AnyDestination, source: Transport
) -> AbstractContextManager[Comparable]:
    """Open a destination of the configured kind for a comparison. Raises as an `Opener`."""
    if isinstance(destination, BucketConfig):
        from dvidsync_dagster.destinations.bucket.opening import opened_beside_source

        return opened_beside_source(config, destination, source)
    from dvidsync_dagster.destinations.dvid_server.beside import opened_beside

    server = server_only(destination, "cannot be compared")
    return opened_beside(config, server, source, still_owner=_nothing, note=_nothing, administers=False)


def opened_repairable(
    config: SyncConfig,
    server: DestinationConfig,
    source: Transport,
    *,
    still_owner: Callable[[], None],
    note: Callable[[str], None],
) -> AbstractContextManager[Repairable]:
    """Open a server for a repair. Raises as an `Opener`."""
    from dvidsync_dagster.destinations.dvid_server.beside import opened_beside

    return opened_beside(config, server, source, still_owner=still_owner, note=note, administers=True)


def server_only(destination: AnyDestination, refusal: str = "cannot do this") -> DestinationConfig:
    """The destination, which must be a DVID server.

    Raises:
        ConfigurationError: it is a bucket.
    """
    if not isinstance(destination, DestinationConfig):
        raise ConfigurationError(
            destination.field,
            f"it is a bucket, which {refusal}",
            "Choose a destination that is a DVID server.",
        )
    return destination


def _nothing(*_: object) -> None:
    """Nothing is changed, so nothing is owned or said."""
