"""A DVID server beside its source: compared with it, and brought to its state by commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from dvidsync_dagster.config import DestinationConfig, SyncConfig
from dvidsync_dagster.datatypes.server_side import Commands
from dvidsync_dagster.destinations.dvid_server.carrying_out import opened_for_commands
from dvidsync_dagster.destinations.dvid_server.checks import refuse_source
from dvidsync_dagster.differences.sides import DvidSide
from dvidsync_dagster.dvid.asking import ask_server
from dvidsync_dagster.dvid.opening import open_destination
from dvidsync_dagster.dvid.repo import RepoInfo, read_repo_info
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.dvid.writing import SourcesVersions
from dvidsync_dagster.log.digests import last_digests_of

if TYPE_CHECKING:
    from dvidsync_dagster.log.kept_digests import Digests


@dataclass(frozen=True, slots=True)
class ServerBesideSource:
    """A `Repairable`.

    Args:
        source, client: of both servers, open.
        root: the repo on both.
        requests_in_flight: how many commands may be carried out at a time.
        shares_ids: people practise there, and take ids from the same counters.
        still_owner: raises OwnershipLost if a newer run owns the destination.
        digests: opens what is kept of the values that runs brought, if anything is.
        note: says something.
    """

    source: Transport
    client: Transport
    root: str
    requests_in_flight: int
    shares_ids: bool
    still_owner: Callable[[], None]
    digests: Callable[[], Digests | None]
    note: Callable[[str], None]

    def contents(self, source: RepoInfo) -> RepoInfo:
        return read_repo_info(self.client, self.root)

    def compared(self, source: RepoInfo) -> None:
        """All that are followed."""

    def holds(self, version: str, instance: str) -> bool:
        """A server has each instance in all versions."""
        return True

    def side(self, version: str, instance: str) -> DvidSide:
        return DvidSide(self.client, version, instance)

    @property
    def changes_committed(self) -> bool:
        """With the admin token."""
        return self.client.has_admin_token

    def commands(
        self, followed: Callable[[str], bool], names: Mapping[str, str]
    ) -> AbstractContextManager[Commands]:
        return opened_for_commands(
            self.source,
            read_repo_info(self.source, self.root),
            self.client,
            followed=followed,
            names=names,
            requests_in_flight=self.requests_in_flight,
            shares_ids=self.shares_ids,
            digests=self.digests(),
            still_owner=self.still_owner,
            note=self.note,
        )


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
        yield ServerBesideSource(
            source,
            client,
            config.repo,
            destination.requests_in_flight,
            destination.practice is not None,
            still_owner,
            partial(last_digests_of, config, destination.name),
            note,
        )
