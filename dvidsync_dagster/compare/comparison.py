"""The whole comparison of a destination with its source."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from dvidsync_dagster.clients import open_destination, open_source
from dvidsync_dagster.compare.annotation import compare_annotation
from dvidsync_dagster.compare.findings import Comparison, Difference
from dvidsync_dagster.compare.instances import Instances, Twins, pair_instances
from dvidsync_dagster.compare.items import Pair, Side
from dvidsync_dagster.compare.keyvalue import compare_keyvalue
from dvidsync_dagster.compare.labelmap import compare_counter, compare_labelmap, compare_max_label
from dvidsync_dagster.compare.neuronjson import compare_neuronjson
from dvidsync_dagster.compare.versions import compare_versions, ordered
from dvidsync_dagster.config import DestinationConfig, SyncConfig
from dvidsync_dagster.discovery import ask_server, select_versions
from dvidsync_dagster.dvid.client import DvidClient
from dvidsync_dagster.dvid.repo import RepoInfo
from dvidsync_dagster.same_server import refuse_source

COMPARED: Mapping[str, Callable[[Pair], tuple[list[Difference], int]]] = {
    "labelmap": compare_labelmap,
    "keyvalue": compare_keyvalue,
    "neuronjson": compare_neuronjson,
    "annotation": compare_annotation,
}
"""By data type: gives the rows for one version, and how many items the source has."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Scene:
    """Both servers, and what of their repos is compared."""

    source: DvidClient
    copy: DvidClient
    source_repo: RepoInfo
    copy_repo: RepoInfo
    versions: frozenset[str]
    instances: Instances

    def pair(self, version: str, twins: Twins) -> Pair:
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


def open_clients(config: SyncConfig, destination: DestinationConfig) -> tuple[DvidClient, DvidClient]:
    """Clients of source and destination; close both."""
    return open_source(config), open_destination(destination)


def look_at(
    config: SyncConfig, destination: DestinationConfig, source: DvidClient, copy: DvidClient
) -> Scene:
    """Ask both servers for the repo.

    Raises:
        ConfigurationError: a server does not answer or has no such repo, or a selected branch is not there.
        ServerError: a server stopped answering.
    """
    _, source_repo = ask_server("source.url", source, config.repo)
    _, copy_repo = ask_server(f"destinations[{destination.name}].url", copy, config.repo)
    refuse_source(destination, source, copy)
    selected = select_versions(config, source_repo)
    return Scene(
        source,
        copy,
        source_repo,
        copy_repo,
        frozenset(source_repo.versions) if selected is None else selected,
        pair_instances(config, destination.own, COMPARED.keys(), source_repo, copy_repo),
    )


def compare(
    config: SyncConfig,
    destination: DestinationConfig,
    *,
    agreed: Collection[str] = (),
    say: Say = lambda _: None,
) -> Comparison:
    """Compare everything that is followed.

    Args:
        agreed: `agreed` of an earlier comparison; what was committed and agreed then is not read again.
        say: gets a line per version.

    Raises:
        ConfigurationError, ServerError.
    """
    source, copy = open_clients(config, destination)
    with source, copy:
        return compare_scene(look_at(config, destination, source, copy), agreed=agreed, say=say)


def compare_scene(scene: Scene, *, agreed: Collection[str] = (), say: Say = lambda _: None) -> Comparison:
    """Compare what a scene shows. Raises ServerError."""
    began = time.monotonic()
    rows = [
        *compare_versions(scene.source_repo, scene.copy_repo, scene.versions),
        *scene.instances.differences,
    ]
    notes = list(scene.instances.notes)
    read = compared = remembered = 0
    known: set[str] = set()
    versions = scene.shared_versions()
    for version in versions:
        found_before, read_before = len(rows), read
        for twins in scene.instances.twins:
            pair, name = scene.pair(version, twins), _name(version, twins)
            if pair.settled and name in agreed:
                known.add(name)
                remembered += 1
                continue
            found, count = COMPARED[twins.source.typename](pair)
            read += count
            compared += 1
            if twins.source.typename == "labelmap":
                behind, ahead = compare_max_label(pair)
                found = found + behind
                notes += ahead
            rows += found
            if pair.settled and not found:
                known.add(name)
        say(f"{version}: {read - read_before:,} items, {len(rows) - found_before} kinds of differences")
    rows += _counters(scene, versions)
    return Comparison(
        differences=tuple(rows),
        read=read,
        compared=compared,
        remembered=remembered,
        notes=tuple(notes),
        agreed=frozenset(known),
        seconds=time.monotonic() - began,
    )


def _counters(scene: Scene, versions: list[str]) -> list[Difference]:
    """The label counters, which are read after all labels."""
    return [
        row
        for twins in scene.instances.twins
        if twins.source.typename == "labelmap" and versions
        for row in compare_counter(scene.pair(versions[0], twins))
    ]


def _name(version: str, twins: Twins) -> str:
    """A short id of a version of an instance and its copy."""
    text = f"{version}/{twins.source.data_uuid}/{twins.copy.data_uuid}"
    return blake2b(text.encode(), digest_size=8).hexdigest()
