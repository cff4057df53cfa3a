"""The kinds of destinations, and how the configured one is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from dvidsync_dagster.config import DestinationConfig
from dvidsync_dagster.destinations.dvid_server.server import DvidServer
from dvidsync_dagster.destinations.protocol import Destination
from dvidsync_dagster.dvid.client import DvidClient
from dvidsync_dagster.dvid.repo import RepoInfo


@contextmanager
def opened_destination(
    destination: DestinationConfig,
    source: DvidClient,
    client: DvidClient,
    repo: RepoInfo,
    *,
    counters: Mapping[str, int],
    followed: Callable[[str], bool],
    still_owner: Callable[[], None],
    note: Callable[[str], None],
) -> Iterator[Destination]:
    """Open a destination for one run.

    Args:
        source: the source, open.
        client: the destination's own server, open.
        repo: the source's, as discovered.
        counters: the source's counters of ids, by instance.
        followed: whether an instance (by name) is one of those that are followed.
        still_owner: raises OwnershipLost if a newer run owns the destination.
        note: says something once per run.
    """
    with DvidServer(
        destination.name,
        source,
        client,
        repo,
        counters=counters,
        followed=followed,
        requests_in_flight=destination.requests_in_flight,
        skips=destination.on_conflict == "skip",
        history=destination.history,
        still_owner=still_owner,
        note=note,
    ) as server:
        yield server
