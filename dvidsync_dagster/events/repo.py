"""What a repo announces of itself: its versions and instances. Every data type lives in these."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar

from dvidsync_dagster.events.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class RepoEvent(Event):
    """What all have in common. `version` is the version that changes, for a new one its parent."""

    typename: ClassVar[str] = "repo"

    @property
    def action(self) -> str:
        return _ACTIONS[type(self)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit(RepoEvent):
    note: str
    log: tuple[str, ...]

    @property
    def identity(self) -> Hashable:
        """Two commits that raced can both be announced."""
        return ("commit", self.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVersion(RepoEvent):
    """A child on the same branch, on a new `branch`, or (with `tag`) a locked one named like the tag."""

    child: str
    note: str
    branch: str = ""
    tag: str = ""

    @property
    def identity(self) -> Hashable:
        return ("newversion", self.child)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeNote(RepoEvent):
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLog(RepoEvent):
    log: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewInstance(RepoEvent):
    """An instance was born; its settings are at the source, not in the message."""

    name: str
    data_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedVersion(RepoEvent):
    """A version that the source refused to make, but announced. Nothing happened."""


_ACTIONS: dict[type[RepoEvent], str] = {
    Commit: "commit",
    NewVersion: "newversion",
    NodeNote: "nodenote",
    NodeLog: "nodelog",
    NewInstance: "newinstance",
    RefusedVersion: "newversion",
}
