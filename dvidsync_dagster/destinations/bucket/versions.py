"""The versions of a branch, one after the other, and the one that a snapshot can begin with."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from dvidsync_dagster.dvid.repo import RepoInfo, Version


@dataclass(frozen=True, slots=True)
class Base:
    """The version that a snapshot begins with.

    Args:
        uuid: the version.
        start_ns: the key (ns since 1970) from which on the log tells what happened after it; 0 if that is
            not known.
        is_committed: else it is the root, which is open.
    """

    uuid: str
    start_ns: int
    is_committed: bool = True


@dataclass(frozen=True, slots=True)
class BranchVersions:
    """The versions of a branch as the source has them: from the root to the branch's newest.

    Where a version has several parents, the first one counts: what it holds comes from there.
    """

    versions: Sequence[Version]
    _places: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, repo: RepoInfo, branch: str) -> BranchVersions:
        """Those of a branch that the repo has."""
        members = [each for each in repo.versions.values() if (each.branch or "master") == branch]
        parents = {parent for each in members for parent in each.parents}
        newest = max((each for each in members if each.uuid not in parents), key=lambda each: each.number)
        versions = [newest]
        while versions[-1].parents:
            versions.append(repo.versions[versions[-1].parents[0]])
        versions.reverse()
        return cls(versions, {each.uuid: place for place, each in enumerate(versions)})

    def place(self, uuid: str) -> int | None:
        """Where a version is among them; None if it is not."""
        return self._places.get(uuid)

    def is_committed(self, uuid: str) -> bool:
        """Whether one of them is."""
        return any(each.uuid == uuid and each.locked for each in self.versions)

    def base(self, clock: int) -> Base:
        """The newest one that is committed; if there is none, the root.

        Args:
            clock: the source's time (ns since 1970) before it told of its repo.
        """
        committed = [each for each in self.versions if each.locked]
        if not committed:
            return Base(self.versions[0].uuid, clock, is_committed=False)
        return self._committed(committed[-1], clock)

    def newest_base(self, uuids: Collection[str], clock: int) -> Base | None:
        """The newest of these that is committed; None if none is.

        Args:
            clock: as above.
        """
        committed = [each for each in self.versions if each.locked and each.uuid in uuids]
        return self._committed(committed[-1], clock) if committed else None

    def _committed(self, version: Version, clock: int) -> Base:
        if 0 < version.committed_at_latest <= clock:
            return Base(version.uuid, version.committed_at_latest)
        # Not told, or by a clock that was ahead. What has no child yet gets one after that moment. Else all
        # that the log holds is looked at.
        return Base(version.uuid, clock if version is self.versions[-1] else 0)
