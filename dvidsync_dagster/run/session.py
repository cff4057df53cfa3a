"""A source and a destination, opened for one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from dvidsync_dagster.clients import open_destination, open_source
from dvidsync_dagster.config import DestinationConfig, SyncConfig
from dvidsync_dagster.datatypes.contract import SourceSide
from dvidsync_dagster.datatypes.registry import ALL
from dvidsync_dagster.destinations.kinds import opened_destination
from dvidsync_dagster.destinations.protocol import Destination
from dvidsync_dagster.dvid.client import DvidClient
from dvidsync_dagster.run.discovery import Route, discover
from dvidsync_dagster.run.notes import Notes

_READS_AT_A_TIME = 4


@dataclass(frozen=True, slots=True)
class Session:
    """Both, with what was asked of them.

    Args:
        source: open.
        sources: by data type, what asks the source.
        client: of the destination's server.
        notes: what the run has to say.
    """

    source: DvidClient
    sources: Mapping[str, SourceSide]
    client: DvidClient
    route: Route
    destination: Destination
    notes: Notes


@contextmanager
def opened(
    config: SyncConfig,
    destination: DestinationConfig,
    *,
    born_since: int | None,
    still_owner: Callable[[], None],
) -> Iterator[Session]:
    """Connect to both and ask what is to be followed.

    Args:
        born_since: as for `discover`.
        still_owner: raises OwnershipLost if a newer run owns the destination.

    Raises:
        ConfigurationError, ServerError: as `discover`.
    """
    with ExitStack() as stack:
        source = stack.enter_context(open_source(config))
        client = stack.enter_context(open_destination(destination))
        route = discover(config, destination, source, client, born_since=born_since)
        notes = Notes()
        pool = stack.enter_context(ThreadPoolExecutor(_READS_AT_A_TIME, thread_name_prefix="source"))
        sources = {
            typename: each.source_side(source, route.clock, route.source_started, pool)
            for typename, each in ALL.items()
        }
        target = stack.enter_context(
            opened_destination(
                destination,
                source,
                client,
                route.repo,
                counters=route.counters,
                followed=lambda name: name not in route.not_followed,
                still_owner=still_owner,
                note=notes.say,
            )
        )
        yield Session(source, sources, client, route, target, notes)
