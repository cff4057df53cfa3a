"""Opening a DVID server as a destination."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dvidsync_dagster.config import DestinationConfig, SyncConfig
from dvidsync_dagster.destinations.dvid_server.checks import (
    check_server,
    named_as_practice,
    refuse_named_twice,
)
from dvidsync_dagster.destinations.dvid_server.kept import Kept
from dvidsync_dagster.destinations.dvid_server.server import DvidServer
from dvidsync_dagster.destinations.source import Source
from dvidsync_dagster.dvid.opening import open_destination
from dvidsync_dagster.dvid.writing import SourcesVersions
from dvidsync_dagster.outgoing_text import counted


@contextmanager
def opened_server(
    config: SyncConfig,
    destination: DestinationConfig,
    source: Source,
    *,
    is_new: bool,
    still_owner: Callable[[], None],
    note: Callable[[str], None],
) -> Iterator[DvidServer]:
    """See `destinations.kinds.Opener`."""
    writes = SourcesVersions(source.client, config.repo, source.repo.versions)
    with open_destination(destination, writes=writes) as client:
        check_server(config, destination, source.client, source.info, client)
        if (names := named_as_practice(destination, source.repo)) is not None:
            note(names)
        if is_new:
            refuse_named_twice(config, destination, client)
        kept = Kept.of(config, destination.name, note)
        if kept.begun:
            note(
                f"a repair began to change {counted(len(kept.begun), 'body', 'bodies')} and did not end. "
                f"What the source does to these is left out, or stops a run, until `dvidsync repair --apply` "
                f"has ended"
            )
        with DvidServer(destination, source, client, kept, still_owner=still_owner, note=note) as server:
            yield server
