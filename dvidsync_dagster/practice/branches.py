"""Making a fresh practice branch at a destination, closing old ones, and listing them.

DVID makes branches from committed versions. What it can do with a branch that is not wanted anymore: commit
its versions, so that nothing changes there; or hide it, which only the server's own command line does and
nothing undoes. The first is done here, the second is left to the server's operator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

from dvidsync_dagster.config import DestinationConfig, SyncConfig
from dvidsync_dagster.config.practice import PracticeConfig
from dvidsync_dagster.destinations.dvid_server.checks import check_server
from dvidsync_dagster.differences.own import PracticeBranch, practice_branches
from dvidsync_dagster.dvid.asking import ask_server
from dvidsync_dagster.dvid.opening import open_destination, open_source
from dvidsync_dagster.dvid.repo import (
    RepoInfo,
    ServerInfo,
    commit_version,
    new_version,
    read_repo_info,
    read_server_info,
)
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.dvid.writing import OwnVersions
from dvidsync_dagster.errors import AnswerLost, ConfigurationError, NotDvid, NotYet, ServerFailed
from dvidsync_dagster.practice.beginnings import beginning, branch_name, to_close
from dvidsync_dagster.run.discovery import select_versions


@dataclass(frozen=True, slots=True)
class MadeBranch:
    """A practice branch that was made.

    Args:
        branch: itself.
        closed: versions of older branches that were committed.
    """

    branch: PracticeBranch
    closed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PracticeServers:
    """Both servers, as they were asked. `client` is of the destination: it changes only its own versions."""

    config: SyncConfig
    destination: DestinationConfig
    practice: PracticeConfig
    source: Transport
    client: Transport
    writes: OwnVersions
    source_info: ServerInfo
    source_repo: RepoInfo

    def branches(self) -> list[PracticeBranch]:
        """The oldest first. From now on they may be changed."""
        repo = read_repo_info(self.client, self.config.repo)
        found = practice_branches(self.practice, self.source_repo.versions, repo)
        self.writes.versions = frozenset(each.uuid for branch in found for each in branch.versions)
        return found


@contextmanager
def opened_servers(config: SyncConfig, destination: DestinationConfig) -> Iterator[PracticeServers]:
    """Open both servers.

    Raises:
        ConfigurationError: nobody practises there, or a server is not what is configured.
        ServerError: one does not answer.
    """
    practice = destination.practice
    if practice is None:
        raise ConfigurationError(
            f"{destination.field}.practice",
            "is unset, so nobody practises there",
            "Add it, such as `practice: {branch: practice}`.",
        )
    writes = OwnVersions()
    with open_source(config) as source, open_destination(destination, writes=writes) as client:
        info, repo = ask_server("source.url", source, config.repo)
        check_server(config, destination, source, info, client)
        yield PracticeServers(config, destination, practice, source, client, writes, info, repo)


def list_branches(config: SyncConfig, destination: DestinationConfig) -> list[PracticeBranch]:
    """The practice branches, the oldest first. Raises as `opened_servers`."""
    with opened_servers(config, destination) as servers:
        return servers.branches()


def is_due(config: SyncConfig, destination: DestinationConfig) -> bool:
    """Whether a version has arrived since the newest practice branch was made. Raises as `opened_servers`."""
    with opened_servers(config, destination) as servers:
        repo = read_repo_info(servers.client, config.repo)
        try:
            begin = _beginning(servers, repo, None)
        except (ConfigurationError, NotYet):
            return False
        return begin not in [branch.parent for branch in servers.branches()]


def make_branch(
    config: SyncConfig,
    destination: DestinationConfig,
    *,
    from_version: str | None = None,
    still_owner: Callable[[], None],
    say: Callable[[str], None],
) -> MadeBranch:
    """Make a practice branch now, and commit what is older than the newest that stay open.

    Nothing else may change the destination's versions meanwhile.

    Args:
        from_version: in place of the configured `from`.
        still_owner: raises OwnershipLost if a newer run owns the destination.
        say: gets a line for each thing that is done.

    Raises:
        ConfigurationError: as `opened_servers`, or the version that is named cannot be begun at.
        NotYet: no committed version has arrived.
        ServerError, OwnershipLost: what was done before stays done.
    """
    with opened_servers(config, destination) as servers:
        repo = read_repo_info(servers.client, config.repo)
        parent = _beginning(servers, repo, from_version)
        clock = read_server_info(servers.client).clock
        name = branch_name(servers.practice.branch, clock, servers.source_repo, repo)
        uuid = uuid4().hex
        still_owner()
        _make(servers, parent, name, uuid)
        branches = servers.branches()
        made = next((branch for branch in branches if branch.first.uuid == uuid), None)
        if made is None:
            raise ServerFailed("GET repo info", f"does not tell of branch {name}, which was just made")
        say(f"branch {name}: version {uuid}, made from version {parent}")
        closed = []
        for version in to_close(servers.practice, branches):
            still_owner()
            about = {"note": version.note, "log": [f"closed by dvidsync when {name} was made"]}
            commit_version(servers.client, version.uuid, about)
            say(f"branch {version.branch}: version {version.uuid} is committed")
            closed.append(version.uuid)
        return MadeBranch(made, tuple(closed))


def _beginning(servers: PracticeServers, repo: RepoInfo, from_version: str | None) -> str:
    source = servers.source_repo
    followed = select_versions(servers.config, servers.destination, source)
    field = f"{servers.destination.field}.practice.from" if from_version is None else "--from"
    wanted = servers.practice.from_ if from_version is None else from_version
    selected = source.versions.keys() if followed is None else followed
    return beginning(wanted, field, source, repo, selected).uuid


def _make(servers: PracticeServers, parent: str, name: str, uuid: str) -> None:
    """Once: after a lost answer the server is asked."""
    note = f"practice on version {parent[:8]} of the source"
    try:
        new_version(servers.client, parent, "branch", {"branch": name, "note": note, "uuid": uuid})
    except (AnswerLost, ServerFailed, NotDvid):
        if uuid not in read_repo_info(servers.client, servers.config.repo).versions:
            raise
