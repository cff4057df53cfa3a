"""A source and a destination, opened for one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from dvidsync_dagster.clients import open_destination, open_source
from dvidsync_dagster.config import DestinationConfig, SyncConfig
from dvidsync_dagster.datatypes.labelmap.look import Contact
from dvidsync_dagster.destinations.server import DvidDestination
from dvidsync_dagster.discovery import Route, discover
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.notes import Notes


@dataclass(frozen=True, slots=True)
class Opened:
    """Both servers with what was asked of them. The target's `contact` is still to be set."""

    source: Transport
    copy: Transport
    route: Route
    target: DvidDestination
    notes: Notes


@contextmanager
def opened(
    config: SyncConfig,
    destination: DestinationConfig,
    *,
    born_since: int | None,
    still_owner: Callable[[], None],
) -> Iterator[Opened]:
    """Connect to both servers and ask what is to be followed.

    Args:
        born_since: as for `discover`.
        still_owner: raises OwnershipLost if a newer run owns the destination.

    Raises:
        ConfigurationError, ServerError: as `discover`.
    """
    with ExitStack() as stack:
        source = stack.enter_context(open_source(config))
        copy = stack.enter_context(open_destination(destination))
        route = discover(config, destination, source, copy, born_since=born_since)
        notes = Notes()
        target = stack.enter_context(
            DvidDestination(
                source,
                copy,
                config.repo,
                requests_in_flight=destination.requests_in_flight,
                contact=Contact(0),
                next_labels=route.next_labels,
                repo=route.repo,
                goes_on=destination.on_conflict == "skip",
                followed=lambda name: name not in route.not_followed,
                still_owner=still_owner,
                note=notes.say,
            )
        )
        yield Opened(source, copy, route, target, notes)
