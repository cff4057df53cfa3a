"""A DVID server beside its source: compared with it, and brought to its state by commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial

from dvidsync_dagster.config import DestinationConfig, SyncConfig
from dvidsync_dagster.datatypes.server_side import Commands
from dvidsync_dagster.destinations.dvid_server.carrying_out import RepairedServer, opened_for_commands
from dvidsync_dagster.destinations.dvid_server.checks import refuse_source
from dvidsync_dagster.differences.sides import DvidSide
from dvidsync_dagster.dvid.asking import ask_server
from dvidsync_dagster.dvid.opening import open_destination
from dvidsync_dagster.dvid.repo import RepoInfo, read_repo_info
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.dvid.writing import SourcesVersions
from dvidsync_dagster.log.digests import last_digests_of


@dataclass(frozen=True, slots=True)
class ServerBesideSource:
    """A `Repairable`."""

    server: RepairedServer

    def contents(self, source: RepoInfo) -> RepoInfo:
        return read_repo_info(self.server.client, self.server.root)

    def compared(self, source: RepoInfo) -> None:
        """All that are followed."""

    def holds(self, version: str, instance: str) -> bool:
        """A server has each instance in all versions."""
        return True

    def side(self, version: str, instance: str) -> DvidSide:
        return DvidSide(self.server.client, version, instance)

    @property
    def changes_committed(self) -> bool:
        """With the admin token."""
        return self.server.client.has_admin_token

    def commands(
        self, followed: Callable[[str], bool], names: Mapping[str, str]
    ) -> AbstractContextManager[Commands]:
        return opened_for_commands(self.server, followed, names)


@contextmanager
def opened_beside(
    config: SyncConfig,
    destination: DestinationConfig,
    source: Transport,
    *,
    still_owner: Callable[[], None],
    note: Callable[[str], None],
    administers: bool,
) -> Iterator[ServerBesideSource]:
    """Open a server for a comparison or a repair.

    Args:
        source: of the source, open.
        administers: the admin token goes along with every change.

    Raises:
        ConfigurationError: it has no such repo, or is the source.
        ServerError: it does not answer.
    """
    writes = SourcesVersions(source, config.repo)
    with open_destination(destination, writes=writes, administers=administers) as client:
        ask_server(f"destinations[{destination.name}].url", client, config.repo)
        refuse_source(destination, source, client)
        server = RepairedServer(
            source,
            client,
            config.repo,
            requests_in_flight=destination.requests_in_flight,
            shares_ids=destination.practice is not None,
            still_owner=still_owner,
            digests=partial(last_digests_of, config, destination.name),
            note=note,
        )
        yield ServerBesideSource(server)
