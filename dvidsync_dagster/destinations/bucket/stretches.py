"""Events in stretches, each of one version of a branch: the tables are changed stretch by stretch, so that
they can be kept as they are where a version was committed. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from dvidsync_dagster.destinations.bucket.versions import BranchVersions
from dvidsync_dagster.events.event import Event, NumberedEvent
from dvidsync_dagster.events.repo import Commit, NewInstance, NewVersion, NodeLog, NodeNote, RepoEvent


@dataclass(frozen=True, slots=True)
class Reached:
    """How far the tables are.

    Args:
        version: the newest of which they hold anything.
        is_committed: they hold all of that version, as it was committed.
        base: the version that they began with.
        base_read_ns: when the reading of the base began (ns since 1970, by the source's clock): what was
            announced up to then is in it.
        values_read_ns: likewise for values (keys, neurons, elements) if these were read later; None if not.
    """

    version: str
    is_committed: bool
    base: str
    base_read_ns: int
    values_read_ns: int | None = None

    def was_read(self, event: Event) -> bool:
        """Whether an event was in the base when that was read. It must be one of the base, or of a version
        before it."""
        is_value = not isinstance(event, NumberedEvent | RepoEvent)
        known = self.values_read_ns if is_value and self.values_read_ns is not None else self.base_read_ns
        return event.origin.key_ns <= known


@dataclass(slots=True)
class VersionStretch:
    """What happened in one version, in an order in which it can be applied.

    Args:
        is_committed: with its end the version is committed.
    """

    version: str
    events: list[Event] = field(default_factory=list)
    is_committed: bool = False


@dataclass(slots=True)
class Stretches:
    """What became of events.

    Args:
        late: what changed a version that the tables hold as committed.
        present: how many events the tables held before.
        untold: versions that have begun, though the log lacks their making.
    """

    stretches: list[VersionStretch] = field(default_factory=list)
    late: list[Event] = field(default_factory=list)
    present: int = 0
    untold: list[str] = field(default_factory=list)


def in_stretches(
    events: Iterable[Event], versions: BranchVersions, reached: Reached, shared: Collection[str] = ()
) -> Stretches:
    """Divide events, which come in an order in which they can be applied. Those of other branches are left
    out: they change nothing here.

    Args:
        shared: instances (by name) whose data all versions share. What changes there is of the newest.
    """
    own = [(place, event) for event in events if (place := _place(event, versions)) is not None]
    # Where the log lacks the making of a version, nothing else has put its events behind those before.
    own.sort(key=lambda each: each[0])
    dividing = _Dividing(versions, reached, shared)
    for place, event in own:
        dividing.take(place, event)
    return dividing.done()


def _place(event: Event, versions: BranchVersions) -> int | None:
    return versions.place(event.child if isinstance(event, NewVersion) else event.version)


class _Dividing:
    def __init__(self, versions: BranchVersions, reached: Reached, shared: Collection[str]) -> None:
        self._versions = versions
        self._shared = shared
        self._reached = reached
        self._at = versions.place(reached.version) or 0
        self._base = versions.place(reached.base) or 0
        self._found = Stretches()
        self._open = VersionStretch(reached.version, is_committed=reached.is_committed)

    def take(self, place: int, event: Event) -> None:
        match event:
            case NewVersion() | Commit() if self._is_past(place, event):
                self._found.present += 1
            case NewInstance() if place <= self._base and self._reached.was_read(event):
                self._found.present += 1
            case NodeNote() | NodeLog() | NewInstance():
                # They can be of any version, at any time.
                self._open.events.append(event)
            case NewVersion() | Commit():
                self._go_on_to(place, event)
                self._open.events.append(event)
                if isinstance(event, Commit):
                    self._open.is_committed = True
            case _ if place <= self._base and self._reached.was_read(event):
                self._found.present += 1
            case _ if event.instance in self._shared:
                self._open.events.append(event)
            case _ if self._is_held_as_committed(place) or self._had_child(place, event):
                self._found.late.append(event)
            case _:
                self._go_on_to(place, event)
                self._open.events.append(event)

    def done(self) -> Stretches:
        self._close()
        return self._found

    def _is_past(self, place: int, event: Event) -> bool:
        return self._is_held_as_committed(place) or (place == self._at and isinstance(event, NewVersion))

    def _is_held_as_committed(self, place: int) -> bool:
        return place < self._at or (place == self._at and self._open.is_committed)

    def _had_child(self, place: int, event: Event) -> bool:
        """Whether an event changed a version after a child was made from it. Only an administrator can do
        that, and nothing tells what the child has of the change."""
        born = self._versions.versions[place + 1].created if place + 1 < len(self._versions.versions) else 0
        return 0 < born < event.origin.key_ns

    def _go_on_to(self, place: int, event: Event) -> None:
        """Begin the version of this event. All versions before it are committed then, also if the log does
        not tell of it."""
        while self._at < place:
            self._open.is_committed = True
            self._close()
            parent = self._open.version
            self._at += 1
            version = self._versions.versions[self._at]
            self._open = VersionStretch(version.uuid)
            if not (isinstance(event, NewVersion) and event.child == version.uuid):
                self._found.untold.append(version.uuid)
                made = NewVersion(
                    origin=event.origin,
                    version=parent,
                    child=version.uuid,
                    note=version.note,
                    branch=version.branch,
                )
                self._open.events.append(made)

    def _close(self) -> None:
        is_new = self._open.version != self._reached.version
        if self._open.events or is_new or self._open.is_committed != self._reached.is_committed:
            self._found.stretches.append(self._open)
