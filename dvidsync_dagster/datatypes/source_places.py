"""The place that a record names: is it one of the source's repo, and did the source really do this there?

Everything in a record is untrusted. A version that the source's repo does not have can be another repo's at
the destination, and DVID takes the first letters of a version's id, or ``ID:master``, for the id itself
(docs/dvid.md, "Short version ids"). And a commit cannot be taken back: it is believed only if the source's
version is committed.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from dvidsync_dagster.dvid.repo import RepoInfo
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.events.message import shown
from dvidsync_dagster.events.repo import Commit, NewVersion, RepoEvent

_NOT_IN_A_PATH = frozenset("/:")


@dataclass(frozen=True, slots=True)
class SourcePlaces:
    """What the source says of its repo.

    Args:
        repo: the source's.
        clock: the source's time (ns since 1970) before `repo` was read: what was announced up to then shows
            in it. A record that is younger is not judged yet; it is not applied yet either.
    """

    repo: RepoInfo
    clock: int
    _usual: Collection[str] = field(init=False)
    """Versions that the source has, and requests can name: those of nearly all records."""

    def __post_init__(self) -> None:
        usual = frozenset(version for version in self.repo.versions if _can_be_named(version))
        object.__setattr__(self, "_usual", usual)

    def doubt(self, event: Event) -> str | None:
        """What is wrong with the place of an event; None if nothing is."""
        if event.origin.key_ns > self.clock or (
            event.version in self._usual and not isinstance(event, RepoEvent)
        ):
            return None
        named = (event.version, event.child) if isinstance(event, NewVersion) else (event.version,)
        for version in named:
            if version not in self.repo.versions:
                return f"it names version {shown(version)}, which the source's repo does not have"
        if not _can_be_named(event.version):
            return f"no request can name version {shown(event.version)}"
        match event:
            case Commit() if not self.repo.versions[event.version].locked:
                return f"it tells of the commit of {event.version}, which is open at the source"
            case NewVersion() if event.version not in self.repo.versions[event.child].parents:
                return f"{event.child} is no child of {event.version} at the source"
        return None


def _can_be_named(version: str) -> bool:
    return version not in (".", "..") and _NOT_IN_A_PATH.isdisjoint(version)


def is_after_commit(event: Event, repo: RepoInfo) -> bool:
    """Whether the source (its `repo`) committed the version before the event: only an administrator can
    have done that. False where it cannot be told."""
    version = repo.versions.get(event.version)
    return version is not None and version.locked and 0 < version.committed_at_latest < event.origin.key_ns


def is_late(event: Event, repo: RepoInfo, reached: int) -> bool:
    """Whether an event belongs before the source's commit of its version, which was applied long since:
    everything with a key up to `reached` (ns since 1970) was, as far as it had been read."""
    version = repo.versions.get(event.version)
    return (
        version is not None
        and version.locked
        and event.origin.key_ns <= version.committed_at_latest <= reached
    )
