"""What waits behind a record that cannot be decoded, in a run that stops at such records.

What the record says is unknown, but not where it stands: its topic is one instance's, or the repo's own.

- What comes after it in the same instance waits: it can be about the same bodies, keys or elements.
- A commit after it waits, and so does every repo operation after that commit: the record can belong to the
  version that the commit closes.
- After a repo operation that cannot be decoded, or that waits, all of the repo's operations wait, and what
  happened in a version or an instance that the destination does not have.

All the rest goes on. Pure: what the destination has is asked for by a function.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from dvidsync_dagster.datatypes.decode import Decoded
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.events.event import Announcement, Event
from dvidsync_dagster.events.origin import Origin
from dvidsync_dagster.events.repo import Commit, NewInstance, NewVersion, RepoEvent

_FIRST = Origin(-1, "", 0, 0)
_NEVER = 1 << 63


@dataclass(frozen=True, slots=True)
class Contents:
    """Versions (UUIDs) and instances (names) that a destination has."""

    versions: Collection[str]
    instances: Collection[str]


@dataclass
class Waiting:
    """What a run must not apply yet.

    Args:
        topics: the instance whose messages a topic holds; None for the repo's own operations.
        contents: asks the destination what it has.
    """

    topics: Mapping[str, Instance | None]
    contents: Callable[[], Contents]
    origins: list[Origin] = field(default_factory=list)
    """The records that wait, those that cannot be decoded included."""
    fresh: int = 0
    """How many of them are of the last chunk."""
    _since: dict[str | None, Origin] = field(default_factory=dict)
    _known: Contents = field(default_factory=lambda: Contents((), ()))

    @property
    def instances(self) -> frozenset[str]:
        """The instances in which something waits, by name."""
        return frozenset(name for name in self._since if name is not None)

    @property
    def reaches(self) -> int:
        """The key (ns since 1970) before that of the first record that waits."""
        return min((origin.key_ns for origin in self.origins), default=_NEVER) - 1

    def let_through(
        self, decoded: Decoded, undecodable: Iterable[Origin]
    ) -> tuple[Decoded, list[Announcement]]:
        """Of a chunk, what can be applied, and the announcements that must wait.

        Args:
            undecodable: the records of the chunk at which the run stops.
        """
        before = len(self.origins)
        try:
            return self._let_through(decoded, undecodable)
        finally:
            self.fresh = len(self.origins) - before

    def _let_through(
        self, decoded: Decoded, undecodable: Iterable[Origin]
    ) -> tuple[Decoded, list[Announcement]]:
        # What comes in a later chunk than the record waits, even if its key is older.
        self._since = dict.fromkeys(self._since, _FIRST)
        for origin in undecodable:
            self.origins.append(origin)
            instance = self.topics[origin.topic]
            self._wait_from(instance.name if instance else None, origin)
        if not self._since:
            return decoded, []
        self._commits_wait(decoded)
        if None in self._since:
            self._known = self._contents_after(decoded)
        behind = [each for each in decoded.announcements if self._waits(each.event)]
        self.origins += [each.event.origin for each in behind]
        passed = [each for each in decoded.announcements if not self._waits(each.event)]
        return replace(decoded, announcements=passed), behind

    def _wait_from(self, instance: str | None, origin: Origin) -> None:
        self._since[instance] = min(origin, self._since.get(instance, origin))

    def _commits_wait(self, decoded: Decoded) -> None:
        first = min(self._since.values())
        commits = [
            event.origin for event in decoded.events if isinstance(event, Commit) and event.origin > first
        ]
        if commits:
            self._wait_from(None, min(commits))

    def _contents_after(self, decoded: Decoded) -> Contents:
        """With what the repo's events make that pass."""
        now = self.contents()
        passed = [
            event
            for event in decoded.events
            if isinstance(event, RepoEvent) and not self._after(None, event.origin)
        ]
        return Contents(
            {*now.versions, *(event.child for event in passed if isinstance(event, NewVersion))},
            {*now.instances, *(event.name for event in passed if isinstance(event, NewInstance))},
        )

    def _after(self, instance: str | None, origin: Origin) -> bool:
        since = self._since.get(instance)
        return since is not None and origin > since

    def _waits(self, event: Event) -> bool:
        if isinstance(event, RepoEvent):
            return self._after(None, event.origin)
        if self._after(event.instance, event.origin):
            return True
        return self._after(None, event.origin) and (
            event.version not in self._known.versions or event.instance not in self._known.instances
        )
