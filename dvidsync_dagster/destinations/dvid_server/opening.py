"""Opening a DVID server as a destination."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from dvidsync_dagster.config import DestinationConfig, SyncConfig
from dvidsync_dagster.config.start import StartTime
from dvidsync_dagster.destinations.dvid_server.checks import check_server, named_as_practice, refuse_twins
from dvidsync_dagster.destinations.dvid_server.server import DvidServer
from dvidsync_dagster.destinations.source import Source
from dvidsync_dagster.dvid.opening import open_destination
from dvidsync_dagster.dvid.writing import SourcesVersions
from dvidsync_dagster.log.agreed import last_agreed
from dvidsync_dagster.log.digests import KeptDigests
from dvidsync_dagster.log.kept_behind import KeptBehind
from dvidsync_dagster.log.replaced import Replaced


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
            refuse_twins(config, destination, client)
        start = destination.start
        with DvidServer(
            destination.name,
            source,
            client,
            requests_in_flight=destination.requests_in_flight,
            skips=destination.on_conflict == "skip",
            follows_doubtful=destination.on_doubt == "follow",
            history=destination.history,
            shares_ids=destination.practice is not None,
            apply=destination.apply,
            digests=KeptDigests(config, destination.name, note),
            replaced=Replaced(config, destination.name),
            copied_from=start.key_ns if isinstance(start, StartTime) else None,
            kept_behind=KeptBehind(config, destination.name),
            agreed=partial(last_agreed, config, destination.name),
            still_owner=still_owner,
            note=note,
        ) as server:
            yield server
