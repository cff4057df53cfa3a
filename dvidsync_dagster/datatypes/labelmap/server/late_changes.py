"""Changes of bodies that come when their version is committed at the destination."""

from __future__ import annotations

from collections.abc import Iterator

from dvidsync_dagster.datatypes.labelmap.events import BodyEvent
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.repo import RepoInfo


def changed_since(event: BodyEvent, labelmap: Labelmap, info: RepoInfo) -> str | None:
    """Why a late change of bodies cannot be made at the destination (its `info`) anymore; None if it can.

    A version has bodies of its own as soon as it changes them: what its ancestor gets later does not reach
    them.
    """
    before = [labelmap.last_mod(event.version, label) for label in event.bodies]
    for version in _descendants(event.version, info):
        for label, last in zip(event.bodies, before, strict=True):
            if labelmap.last_mod(version, label) != last:
                return (
                    f"it came later than the commit of its version, and version {version} has changed body "
                    f"{label} since; compare with `dvidsync verify`, mend with `dvidsync repair`"
                )
    return None


def _descendants(version: str, info: RepoInfo) -> Iterator[str]:
    return (uuid for uuid in info.versions if uuid != version and version in info.ancestors(uuid))
