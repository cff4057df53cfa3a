"""From announcements to what happened: pair starts with completions, drop duplicates, find what failed."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dvidsync_dagster.datatypes.labelmap.counter_rule import HIGHEST_GIVEN, Ids, PickedBy, ids_of, left_by
from dvidsync_dagster.datatypes.labelmap.events import BodyEvent, LabelEvent, SetNextLabel
from dvidsync_dagster.datatypes.source_side import Fate, Gathered, Stretch
from dvidsync_dagster.events.event import Announcement, Event


def gather(stretch: Stretch) -> Gathered:
    """Pair the announcements of labelmaps in one stretch of the log."""
    heard = _Heard(stretch)
    for announcement in stretch.announced:
        heard.take_in(announcement)
    gathered = Gathered()
    happened = [*heard.happened, *_what_became(heard, stretch, gathered)]
    happened.sort(key=lambda event: event.origin)
    gathered.done.extend(happened)
    known = {*heard.starts, *heard.completed, *stretch.applied_before}
    gathered.to_come.extend(_out_of_turn(stretch.ahead, known, happened, stretch.counters))
    failed = len(heard.open_starts()) - len(gathered.pending) - len(gathered.unheard)
    return replace(gathered, duplicates=heard.duplicates, failed=failed)


@dataclass
class _Heard:
    """What the announcements said, each once."""

    stretch: Stretch
    starts: dict[Hashable, BodyEvent] = field(default_factory=dict)
    completed: dict[Hashable, list[BodyEvent]] = field(default_factory=dict)
    happened: list[LabelEvent] = field(default_factory=list)
    duplicates: int = 0
    _counter_events: set[LabelEvent] = field(default_factory=set)

    def take_in(self, announcement: Announcement) -> None:
        event = announcement.event
        if not isinstance(event, BodyEvent):
            assert isinstance(event, LabelEvent)
            is_new = self._of_counter(event)
        elif announcement.done:
            is_new = self._completion(event)
        else:
            is_new = self.starts.setdefault(event.identity, event) is event
        self.duplicates += not is_new

    def open_starts(self) -> dict[Hashable, BodyEvent]:
        return {
            name: start
            for name, start in self.starts.items()
            if name not in self.completed and name not in self.stretch.applied_before
        }

    def _of_counter(self, event: LabelEvent) -> bool:
        same = replace(event, origin=event.origin._replace(offset=0, partition=0))
        if same in self._counter_events:
            return False
        self._counter_events.add(same)
        self.happened.append(event)
        return True

    def _completion(self, event: BodyEvent) -> bool:
        name = event.identity
        said_before = (_same(event, other) for other in self.completed.get(name, ()))
        if name in self.stretch.applied_before or any(said_before):
            return False
        self.completed.setdefault(name, []).append(event)
        start = self.starts.get(name)
        self.happened.append(replace(event, started_ns=start.origin.key_ns) if start else event)
        return True


def _what_became(heard: _Heard, stretch: Stretch, gathered: Gathered) -> list[LabelEvent]:
    """What happened of the starts that have no completion: the source is asked about those that are old."""
    open_starts = heard.open_starts()
    done_later = {each.event.identity for each in stretch.ahead if _is_completion(each)}
    asked = [
        start
        for name, start in open_starts.items()
        if name not in done_later
        and start.origin.key_ns < stretch.ended_before
        and start.instance not in stretch.waiting
    ]
    later = [each.event for each in stretch.ahead if _is_completion(each)]
    fates = stretch.ask(asked, [*heard.happened, *later]) if asked else {}
    happened: list[LabelEvent] = []
    for name, start in open_starts.items():
        match fates.get(name, Fate.UNKNOWN):
            case Fate.UNKNOWN:
                gathered.pending.append(start)
            case Fate.DONE:
                done = replace(start, started_ns=start.origin.key_ns)
                gathered.unheard.append(done)
                happened.append(done)
            case Fate.FAILED:
                burned = left_by(start, failed=True)
                if burned is not None:
                    happened.append(burned)
    return happened


def _is_completion(announcement: Announcement) -> bool:
    return announcement.done and isinstance(announcement.event, BodyEvent)


def _out_of_turn(
    ahead: Sequence[Announcement],
    known: set[Hashable],
    happened: Sequence[LabelEvent],
    counters: Mapping[str, int],
) -> list[Event]:
    """What took an id before something that happened, and was announced after it: between taking an id and
    telling of it another operation can take one and tell of it."""
    highest = _highest(happened, counters)
    found: list[Event] = []
    for event in (each.event for each in ahead):
        assert isinstance(event, LabelEvent)
        if isinstance(event, BodyEvent):
            if event.identity in known:
                continue
            known.add(event.identity)
        before = highest.get(event.instance, 0)
        if isinstance(event, SetNextLabel):
            if event.next_label < before:
                highest[event.instance] = 0  # what comes now says nothing about what came before
        elif _ids(event).picked_by is not PickedBy.REQUEST and _ids(event).first < before:
            found.append(event)
    return found


def _highest(happened: Sequence[LabelEvent], counters: Mapping[str, int]) -> dict[str, int]:
    """The highest id that was given, by instance."""
    highest: dict[str, int] = {}
    for event in happened:
        passed = event.next_label if isinstance(event, SetNextLabel) else _ids(event).last
        # What lies above the source's own counter did not come from it, and tells nothing of it.
        if passed < counters.get(event.instance, HIGHEST_GIVEN + 1):
            highest[event.instance] = max(highest.get(event.instance, 0), passed)
    return highest


def _ids(event: LabelEvent) -> Ids:
    return ids_of(event) or _NONE


_NONE = Ids(0, 0, PickedBy.REQUEST)


def _same(one: BodyEvent, other: BodyEvent) -> bool:
    return replace(one, origin=other.origin, started_ns=other.started_ns) == other
