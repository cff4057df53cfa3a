"""What the next practice branch begins at, and what it is called."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from dvidsync_dagster.config.practice import LATEST_COMMIT, PracticeConfig
from dvidsync_dagster.differences.own import PracticeBranch
from dvidsync_dagster.dvid.repo import RepoInfo, Version
from dvidsync_dagster.errors import ConfigurationError, NotYet

_NOT_COMMITTED = (
    "The source has committed none yet: commit one there (`POST commit`), let the destination follow with "
    "`dvidsync run`, and try again."
)
_NOT_FOLLOWED = "The source has: let the destination follow with `dvidsync run`, and try again."


def beginning(
    wanted: str, field: str, source: RepoInfo, destination: RepoInfo, followed: Collection[str]
) -> Version:
    """The version of the source, as the destination has it, that a branch is made from.

    Args:
        wanted: `latest commit`, or the first letters of a UUID.
        field: where that stands, for messages.
        followed: the versions that are followed.

    Raises:
        NotYet: none has arrived.
        ConfigurationError: the one that is named is not there, or has not arrived.
    """
    if wanted != LATEST_COMMIT:
        return _named(wanted, field, source, destination)
    arrived = [
        version
        for uuid, version in source.versions.items()
        if uuid in followed
        and version.locked
        and not version.is_tag
        and uuid in destination.versions
        and destination.versions[uuid].locked
    ]
    if not arrived:
        committed = any(source.versions[uuid].locked for uuid in source.versions if uuid in followed)
        raise NotYet(
            "No committed version has arrived at the destination yet, and DVID makes branches from such. "
            + (_NOT_FOLLOWED if committed else _NOT_COMMITTED)
        )
    return max(arrived, key=lambda version: (version.committed_at_latest, version.number))


def _named(letters: str, field: str, source: RepoInfo, destination: RepoInfo) -> Version:
    found = [version for uuid, version in source.versions.items() if uuid.startswith(letters)]
    if len(found) != 1:
        raise ConfigurationError(
            field,
            f"{letters!r} names {len(found) or 'none'} of the source's {len(source.versions):,} versions",
            "Give the UUID of one, or enough of its first letters.",
        )
    there = destination.versions.get(found[0].uuid)
    if there is None or not there.locked:
        state = "is open" if there is not None else "has not arrived"
        raise ConfigurationError(
            field,
            f"version {found[0].uuid} {state} at the destination, and DVID makes branches from committed "
            f"versions only",
            "Name another, or wait until the source commits it and the destination has followed.",
        )
    return found[0]


def branch_name(begin: str, clock: int, *repos: RepoInfo) -> str:
    """A name that says when: the day, and a number from the second branch of a day on.

    Args:
        begin: how names of practice branches begin.
        clock: the time, ns since 1970.
        repos: in which the name is free.
    """
    day = datetime.fromtimestamp(clock // 10**9, UTC).date().isoformat()
    taken = {version.branch for repo in repos for version in repo.versions.values()}
    name, number = f"{begin}-{day}", 1
    while name in taken:
        number += 1
        name = f"{begin}-{day}-{number}"
    return name


def to_close(practice: PracticeConfig, branches: Sequence[PracticeBranch]) -> list[Version]:
    """The open versions of the branches that are not among the newest that stay open.

    Args:
        branches: the oldest first.
    """
    if practice.keep is None:
        return []
    return [version for branch in branches[: -practice.keep] for version in branch.open]
