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

from dvidsync_dagster.datatypes.copied import DataEvent
from dvidsync_dagster.datatypes.decode import Decoded
from dvidsync_dagster.datatypes.labelmap.events import Announcement, CounterEvent, LabelEvent
from dvidsync_dagster.datatypes.repo.writer import Commit, NewInstance, NewVersion
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.events.origin import Origin

_FIRST = Origin(-1, "", 0, 0)
_NEVER = 1 << 63


@dataclass(frozen=True, slots=True)
class There:
    """Versions (UUIDs) and instances (names) that a destination has."""

    versions: Collection[str]
    instances: Collection[str]


@dataclass
class Waiting:
    """What a run must not apply yet.

    Args:
        topics: the instance whose messages a topic holds; None for the repo's own operations.
        there: asks the destination what it has.
    """

    topics: Mapping[str, Instance | None]
    there: Callable[[], There]
    origins: list[Origin] = field(default_factory=list)
    """The records that wait, those that cannot be decoded included."""
    fresh: int = 0
    """How many of them are of the last chunk."""
    _since: dict[str | None, Origin] = field(default_factory=dict)
    _known: There = field(default_factory=lambda: There((), ()))

    @property
    def instances(self) -> frozenset[str]:
        """The instances in which something waits, by name."""
        return frozenset(name for name in self._since if name is not None)

    @property
    def reaches(self) -> int:
        """The key (ns since 1970) before that of the first record that waits."""
        return min((origin.key_ns for origin in self.origins), default=_NEVER) - 1

    def let_through(self, decoded: Decoded, undecodable: Iterable[Origin]) -> tuple[Decoded, Decoded]:
        """Of a chunk, what can be applied and what must wait.

        Args:
            undecodable: the records of the chunk at which the run stops.
        """
        before = len(self.origins)
        try:
            return self._let_through(decoded, undecodable)
        finally:
            self.fresh = len(self.origins) - before

    def _let_through(self, decoded: Decoded, undecodable: Iterable[Origin]) -> tuple[Decoded, Decoded]:
        # What comes in a later chunk than the record waits, even if its key is older.
        self._since = dict.fromkeys(self._since, _FIRST)
        for origin in undecodable:
            self.origins.append(origin)
            instance = self.topics[origin.topic]
            self._wait_from(instance.name if instance else None, origin)
        if not self._since:
            return decoded, Decoded()
        self._commits_wait(decoded)
        behind = Decoded()
        passed = replace(
            decoded,
            repo=[each for each in decoded.repo if not self._after(None, each.origin)],
        )
        behind.repo += [each for each in decoded.repo if self._after(None, each.origin)]
        if None in self._since:
            self._known = self._will_be_there(passed)
        passed.labels, passed.data = [], []
        for announced in decoded.labels:
            (behind if self._waits(_event(announced)) else passed).labels.append(announced)
        for event in decoded.data:
            (behind if self._waits(event) else passed).data.append(event)
        self.origins += [change.origin for change in behind.repo]
        self.origins += [event.origin for event in behind.data]
        self.origins += [_event(announced).origin for announced in behind.labels]
        return passed, behind

    def _wait_from(self, instance: str | None, origin: Origin) -> None:
        self._since[instance] = min(origin, self._since.get(instance, origin))

    def _commits_wait(self, decoded: Decoded) -> None:
        first = min(self._since.values())
        commits = [each.origin for each in decoded.repo if isinstance(each, Commit) and each.origin > first]
        if commits:
            self._wait_from(None, min(commits))

    def _will_be_there(self, passed: Decoded) -> There:
        there = self.there()
        return There(
            {*there.versions, *(each.child for each in passed.repo if isinstance(each, NewVersion))},
            {*there.instances, *(each.name for each in passed.repo if isinstance(each, NewInstance))},
        )

    def _after(self, instance: str | None, origin: Origin) -> bool:
        since = self._since.get(instance)
        return since is not None and origin > since

    def _waits(self, event: LabelEvent | DataEvent) -> bool:
        if self._after(event.instance, event.origin):
            return True
        return self._after(None, event.origin) and (
            event.version not in self._known.versions or event.instance not in self._known.instances
        )


def _event(announced: Announcement | CounterEvent) -> LabelEvent:
    return announced.event if isinstance(announced, Announcement) else announced
