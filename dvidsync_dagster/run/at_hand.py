"""The events that a run has at hand: of the chunk, and those that earlier chunks could not apply."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from dvidsync_dagster.datatypes.decode import Decoded
from dvidsync_dagster.datatypes.registry import ALL
from dvidsync_dagster.datatypes.source_side import Gathered, SourceSide, Stretch
from dvidsync_dagster.destinations.protocol import Brought
from dvidsync_dagster.events.event import Announcement, Event, NumberedEvent
from dvidsync_dagster.events.origin import Origin
from dvidsync_dagster.events.repo import NewVersion

_REMEMBERED_CHUNKS = 3


@dataclass
class AtHand:
    """Collects announcements chunk by chunk, and gives the events that are to be brought now.

    Args:
        sources: by data type, what asks the source; one that is not named asks nothing.
        versions: the selected ones; None for all.
        again: the log was read before.
    """

    sources: Mapping[str, SourceSide]
    versions: Collection[str] | None = None
    again: bool = False
    not_followed: Counter[str] = field(default_factory=Counter)
    unknown_actions: Counter[str] = field(default_factory=Counter)
    _announced: list[Announcement] = field(default_factory=list)
    _gathered: list[Gathered] = field(default_factory=list)
    _applied_before: deque[frozenset[Hashable]] = field(
        default_factory=lambda: deque(maxlen=_REMEMBERED_CHUNKS)
    )
    _unheard: set[Hashable] = field(default_factory=set)

    def take_in(
        self,
        decoded: Decoded,
        ahead: Sequence[Announcement],
        *,
        ended_before: int,
        waiting: Collection[str] = (),
        counters: Mapping[str, int] | None = None,
    ) -> None:
        """Add a chunk.

        Args:
            ahead: what has been read past the chunk: it tells which starts will still complete, and who took
                an id before they could say so.
            ended_before, waiting, counters: see `Stretch`.
        """
        self.not_followed, self.unknown_actions = decoded.not_followed, decoded.unknown_actions
        self._announced += decoded.announcements
        self._announced.sort(key=_ORIGIN)
        applied_before = {*self._unheard, *(name for names in self._applied_before for name in names)}
        self._gathered = []
        announced, coming = _by_type(self._announced), _by_type(ahead)
        for typename, data_type in ALL.items():
            source = self.sources.get(typename)
            stretch = Stretch(
                announced=announced.get(typename, ()),
                ahead=coming.get(typename, ()),
                applied_before=applied_before,
                ended_before=ended_before,
                ask=source.fates if source is not None else lambda _starts, _done: {},
                waiting=waiting,
                counters=counters or {},
            )
            self._gathered.append(data_type.gather(stretch))
        self._unheard.update(event.identity for found in self._gathered for event in found.unheard)

    @property
    def duplicates(self) -> int:
        """Announcements that said the same again."""
        return sum(found.duplicates for found in self._gathered)

    @property
    def pending(self) -> list[Event]:
        """What has begun, and neither is done nor known to have failed."""
        return [event for found in self._gathered for event in found.pending]

    def events(self) -> list[Event]:
        """What happened, as far as it is selected, and what remains of the rest."""
        return [
            chosen
            for found in self._gathered
            for event in found.done
            if not (self.again and ALL[event.typename].not_again(event))
            and (chosen := self._chosen(event)) is not None
        ]

    def awaited(self) -> list[Event]:
        """What has not happened yet, as far as can be told, and comes before some that has."""
        return [
            chosen
            for found in self._gathered
            for event in (*found.pending, *found.to_come)
            if (chosen := self._chosen(event)) is not None
        ]

    def unapplied(self, brought: Brought) -> list[Origin]:
        """The records that were read and are not applied."""
        return [event.origin for event in (*brought.held, *self.pending)]

    def next_chunk(self, brought: Brought) -> None:
        """Forget what is applied; keep what had to wait."""
        applied = (event for event in brought.applied if isinstance(event, NumberedEvent))
        self._applied_before.append(frozenset(event.identity for event in applied))
        self._announced = [Announcement(start, done=False) for start in self.pending]
        self._announced += [Announcement(event) for event in brought.held]

    def _chosen(self, event: Event) -> Event | None:
        version = event.child if isinstance(event, NewVersion) else event.version
        if self.versions is None or version in self.versions:
            return event
        return ALL[event.typename].unselected(event)


_ORIGIN = attrgetter("event.origin")


def _by_type(announcements: Sequence[Announcement]) -> dict[str, list[Announcement]]:
    found: dict[str, list[Announcement]] = {}
    for announcement in announcements:
        found.setdefault(announcement.event.typename, []).append(announcement)
    return found
