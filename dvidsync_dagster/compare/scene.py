"""Both servers at one moment: what of their repos is put side by side."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from dvidsync_dagster.compare.annotation import compare_annotation
from dvidsync_dagster.compare.instances import Instances, Twins, pair_instances
from dvidsync_dagster.compare.items import Found, Pair, Side
from dvidsync_dagster.compare.keyvalue import compare_keyvalue
from dvidsync_dagster.compare.labelmap import compare_labelmap
from dvidsync_dagster.compare.lower_scales import compare_lower_scales
from dvidsync_dagster.compare.neuronjson import compare_neuronjson
from dvidsync_dagster.compare.versions import ordered
from dvidsync_dagster.config import DestinationConfig, SyncConfig
from dvidsync_dagster.discovery import ask_server, select_versions
from dvidsync_dagster.dvid.repo import RepoInfo, ServerInfo
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.errors import ConfigurationError
from dvidsync_dagster.same_server import refuse_source

COMPARED: Mapping[str, Callable[[Pair], tuple[list[Found], int]]] = {
    "labelmap": compare_labelmap,
    "keyvalue": compare_keyvalue,
    "neuronjson": compare_neuronjson,
    "annotation": compare_annotation,
}
"""By data type: gives what differs in one version, and how many items the source has."""

_SHORTEST = 4


@dataclass(frozen=True, slots=True)
class Scene:
    """Both servers, and what of their repos is compared.

    Args:
        versions: at the source.
        chosen: whether somebody has named these versions, so that nothing else counts.
        lower_scales: whether labelmaps are compared at lower resolutions too.
    """

    source: Transport
    copy: Transport
    source_info: ServerInfo
    source_repo: RepoInfo
    copy_repo: RepoInfo
    versions: frozenset[str]
    chosen: bool
    lower_scales: bool
    instances: Instances

    def compared(self, version: str, twins: Twins) -> tuple[list[Found], int]:
        """What differs in an instance in a version, and how many items the source has. Raises ServerError."""
        pair, typename = self.pair(version, twins), twins.source.typename
        found, count = COMPARED[typename](pair)
        if typename == "labelmap" and self.lower_scales:
            lower, blocks = compare_lower_scales(pair)
            return [*found, *lower], count + blocks
        return found, count

    def pair(self, version: str, twins: Twins) -> Pair:
        """An instance in a version that both have."""
        return Pair(
            Side(self.source, version, twins.source.name),
            Side(self.copy, version, twins.copy.name),
            self.source_repo.versions[version].locked and self.copy_repo.versions[version].locked,
        )

    def shared_versions(self) -> list[str]:
        """The selected versions that both have, parents before children."""
        return [
            version
            for version in ordered(self.source_repo, self.versions)
            if version in self.copy_repo.versions
        ]


def look_at(
    config: SyncConfig,
    destination: DestinationConfig,
    source: Transport,
    copy: Transport,
    *,
    versions: Collection[str] = (),
    lower_scales: bool = False,
) -> Scene:
    """Ask both servers for the repo.

    Args:
        versions: UUIDs, or the first letters of such; without, all that are followed.
        lower_scales: compare labelmaps at lower resolutions too.

    Raises:
        ConfigurationError: a server does not answer or has no such repo, or a selected branch or version is
            not there.
        ServerError: a server stopped answering.
    """
    source_info, source_repo = ask_server("source.url", source, config.repo)
    _, copy_repo = ask_server(f"destinations[{destination.name}].url", copy, config.repo)
    refuse_source(destination, source, copy)
    selected = select_versions(config, source_repo)
    followed = frozenset(source_repo.versions) if selected is None else selected
    return Scene(
        source,
        copy,
        source_info,
        source_repo,
        copy_repo,
        frozenset(_whole(name, followed) for name in versions) if versions else followed,
        bool(versions),
        lower_scales,
        pair_instances(config, destination.own, COMPARED.keys(), source_repo, copy_repo),
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
