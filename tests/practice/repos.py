"""Repos as servers tell of them, made by hand."""

from __future__ import annotations

from dvidsync_dagster.dvid.repo import RepoInfo, Version


def version(
    uuid: str, number: int, *parents: str, branch: str = "", locked: bool = True, committed: int = 0
) -> Version:
    return Version(
        uuid, number, parents, branch, locked, f"note of {uuid}", (), committed_at_latest=committed
    )


def repo(*versions: Version) -> RepoInfo:
    return RepoInfo(versions[0].uuid, {each.uuid: each for each in versions}, {}, 0)
