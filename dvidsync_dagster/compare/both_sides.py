"""The source and a destination at one moment: what of their repos is put side by side."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from dvidsync_dagster.compare.instances import InstancePair, Instances, pair_instances
from dvidsync_dagster.compare.versions import ordered
from dvidsync_dagster.config import AnyDestination, DestinationConfig, SyncConfig
from dvidsync_dagster.datatypes.contract import DataComparison
from dvidsync_dagster.datatypes.registry import FOLLOWED
from dvidsync_dagster.destinations.protocol import Comparable
from dvidsync_dagster.differences.items import Pair, ServerPair
from dvidsync_dagster.differences.own import Own, practice_branches
from dvidsync_dagster.differences.sides import DvidSide
from dvidsync_dagster.dvid.asking import ask_server
from dvidsync_dagster.dvid.opening import open_source
from dvidsync_dagster.dvid.repo import RepoInfo, ServerInfo
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.errors import ConfigurationError
from dvidsync_dagster.run.discovery import select_versions

_SHORTEST = 4


@dataclass(frozen=True, slots=True)
class BothSides:
    """The source and a destination, and what of their repos is compared.

    Args:
        versions: at the source.
        chosen: whether somebody has named these versions, so that nothing else counts.
        lower_scales: whether lower resolutions are compared too, where there are any.
        own: versions and instances that the destination has of its own.
        looked_at: when they were asked (`time.monotonic`).
    """

    source: Transport
    destination: Comparable
    source_info: ServerInfo
    source_repo: RepoInfo
    destination_repo: RepoInfo
    versions: frozenset[str]
    chosen: bool
    lower_scales: bool
    instances: Instances
    own: Own
    looked_at: float = field(default_factory=time.monotonic)

    def pair(self, version: str, instance: InstancePair) -> Pair:
        """An instance in a version that both have; a `ServerPair` if the destination is a server too."""
        source = DvidSide(self.source, version, instance.source.name)
        destination = self.destination.side(version, instance.destination.name)
        settled = self.source_repo.versions[version].locked and self.destination_repo.versions[version].locked
        if isinstance(destination, DvidSide):
            return ServerPair(source, destination, settled)
        return Pair(source, destination, settled)

    def shared_versions(self) -> list[str]:
        """The selected versions that both have, parents before children."""
        return [
            version
            for version in ordered(self.source_repo, self.versions)
            if version in self.destination_repo.versions
        ]

    def is_compared(self, instance: str) -> bool:
        """Whether an instance of the source's is compared, or is missing."""
        compared = (*(pair.source for pair in self.instances.pairs), *self.instances.missing)
        return any(instance == each.name for each in compared)

    @property
    def names_at_destination(self) -> Mapping[str, str]:
        """What the source's instances are called at the destination."""
        return {pair.source.name: pair.destination.name for pair in self.instances.pairs}


def comparison_of(instance: InstancePair) -> DataComparison:
    """That of its data type."""
    return COMPARISONS[instance.source.typename]


COMPARISONS = {name: each.comparison for name, each in FOLLOWED.items() if each.comparison is not None}
"""By data type; others are not compared."""


@contextmanager
def opened_source(config: SyncConfig) -> Iterator[Transport]:
    """The source, once it has answered: what is wrong with it is said before a destination is asked.

    Raises:
        ConfigurationError: there is no DVID server, or it has no such repo.
        ServerError: it does not answer as it should.
    """
    with open_source(config) as source:
        ask_server("source.url", source, config.repo)
        yield source


@dataclass(frozen=True, slots=True)
class ToCompare:
    """A source and a destination that are open, and what of them is compared.

    Args:
        source: of the source.
        follower: the destination.
        versions: UUIDs, or the first letters of such; without, all that are followed.
        lower_scales: compare lower resolutions too.
    """

    config: SyncConfig
    destination: AnyDestination
    source: Transport
    follower: Comparable
    versions: Collection[str] = ()
    lower_scales: bool = False

    def look(self) -> BothSides:
        """Ask both for the repo.

        Raises:
            ConfigurationError: a server does not answer or has no such repo, or a selected branch or version
                is not there.
            ServerError: a server stopped answering.
        """
        config, destination, follower = self.config, self.destination, self.follower
        source_info, source_repo = ask_server("source.url", self.source, config.repo)
        destination_repo = follower.contents(source_repo)
        selected = select_versions(config, destination, source_repo)
        followed = frozenset(source_repo.versions) if selected is None else selected
        held = follower.compared(source_repo)
        followed = followed if held is None else followed & held
        chosen = frozenset(_whole(name, followed) for name in self.versions)
        return BothSides(
            self.source,
            follower,
            source_info,
            source_repo,
            destination_repo,
            chosen or followed,
            bool(chosen),
            self.lower_scales,
            pair_instances(config, destination.own, COMPARISONS.keys(), source_repo, destination_repo),
            _own(destination, source_repo, destination_repo),
        )


def _own(destination: AnyDestination, source: RepoInfo, repo: RepoInfo) -> Own:
    practice = destination.practice if isinstance(destination, DestinationConfig) else None
    return Own(
        practises=practice is not None,
        branches=tuple(practice_branches(practice, source.versions, repo)),
        instances=tuple(sorted(name for name in destination.own if name in repo.instances)),
    )


def _whole(name: str, followed: Collection[str]) -> str:
    """The version that a UUID's first letters name. Raises ConfigurationError if that is not one."""
    found = [uuid for uuid in followed if uuid.startswith(name)] if len(name) >= _SHORTEST else []
    if len(found) != 1:
        raise ConfigurationError(
            "versions",
            f"{name[:80]!r} names {len(found) or 'none'} of the {len(followed)} versions that are followed",
            "Give UUIDs of the source's versions, or enough of their first letters.",
        )
    return found[0]
