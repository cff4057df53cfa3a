"""What a destination has of its own, beside what it follows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from dvidsync_dagster.config.practice import PracticeConfig
from dvidsync_dagster.dvid.repo import RepoInfo, Version
from dvidsync_dagster.outgoing_text import escaped


@dataclass(frozen=True, slots=True)
class PracticeBranch:
    """A branch of the destination's own.

    Args:
        name: such as practice-2026-11-26.
        parent: the version that it begins at.
        versions: its own and all below it, parents before children.
    """

    name: str
    parent: str
    versions: tuple[Version, ...]

    @property
    def first(self) -> Version:
        return self.versions[0]

    @property
    def last(self) -> Version:
        """Its latest version, which is where people work while it is open."""
        return next(each for each in reversed(self.versions) if each.branch == self.name)

    @property
    def open(self) -> tuple[Version, ...]:
        """Where something can be changed."""
        return tuple(each for each in self.versions if not each.locked)

    def as_json(self) -> dict[str, Any]:
        return {
            "branch": self.name,
            "from": self.parent,
            "version": self.last.uuid,
            "versions": len(self.versions),
            "open": [each.uuid for each in self.open],
        }


def practice_branches(
    practice: PracticeConfig | None, followed: Collection[str], repo: RepoInfo
) -> list[PracticeBranch]:
    """The practice branches of a destination, the oldest first.

    Args:
        practice: None if nobody practises there.
        followed: the versions that the source has, which are never the destination's own.
        repo: the destination's.
    """
    if practice is None:
        return []
    own = [each for uuid, each in repo.versions.items() if uuid not in followed]
    own.sort(key=lambda version: version.number)
    children: dict[str, list[Version]] = {}
    for each in own:
        for parent in each.parents:
            children.setdefault(parent, []).append(each)
    found = []
    inside: set[str] = set()
    for each in own:
        if practice.names(each.branch) and each.uuid not in inside:
            below = _below(each, children)
            inside |= {version.uuid for version in below}
            found.append(PracticeBranch(each.branch, next(iter(each.parents), ""), tuple(below)))
    return found


def _below(first: Version, children: Mapping[str, list[Version]]) -> list[Version]:
    """A version and all that descend from it. A child has a higher number than its parents."""
    found: dict[str, Version] = {}
    waiting = [first]
    while waiting:
        version = waiting.pop()
        if version.uuid not in found:
            found[version.uuid] = version
            waiting += children.get(version.uuid, ())
    return sorted(found.values(), key=lambda version: version.number)


@dataclass(frozen=True, slots=True)
class Own:
    """What a comparison found of the destination's own, and which is no difference.

    Args:
        practises: people practise there, so that they take ids from its counters.
        branches: of practice, the oldest first.
        instances: named in `own`, and there.
        ids: by labelmap, how far its counter is ahead of the source's.
        highest: how many highest labels of versions are ahead of the source's, as ids that practice had taken
            were given there for a moment.
    """

    practises: bool = False
    branches: tuple[PracticeBranch, ...] = ()
    instances: tuple[str, ...] = ()
    ids: Mapping[str, int] = field(default_factory=dict)
    highest: int = 0

    @property
    def versions(self) -> frozenset[str]:
        return frozenset(version.uuid for branch in self.branches for version in branch.versions)

    def line(self) -> str:
        """It all, for people; "" if there is nothing."""
        parts = []
        if self.branches:
            names = ", ".join(escaped(each.name, 80) for each in self.branches)
            parts.append(f"{_count(len(self.versions), 'version')} of practice ({names})")
        if self.instances:
            names = ", ".join(escaped(name, 80) for name in self.instances)
            parts.append(f"{_count(len(self.instances), 'instance')} ({names})")
        parts += [
            f"{_count(count, 'id')} of {escaped(name, 80)} ahead of the source's counter"
            for name, count in sorted(self.ids.items())
        ]
        if self.highest:
            parts.append(f"{_count(self.highest, 'highest label')} ahead of the source's")
        return f"the destination's own: {'; '.join(parts)}" if parts else ""

    def as_json(self) -> dict[str, Any]:
        return {
            "practice": [each.as_json() for each in self.branches],
            "instances": list(self.instances),
            "ids_ahead": dict(self.ids),
            "highest_labels_ahead": self.highest,
        }


NOTHING_OWN = Own()


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
