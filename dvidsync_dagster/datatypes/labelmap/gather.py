"""From announcements to what happened: pair starts with completions, drop duplicates, find what failed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TypeGuard

from dvidsync_dagster.datatypes.labelmap.counter_rule import HIGHEST_GIVEN, Ids, PickedBy, ids_of, left_by
from dvidsync_dagster.datatypes.labelmap.events import (
    Announcement,
    BodyEvent,
    CounterEvent,
    LabelEvent,
    SetNextLabel,
)

Identity = tuple[str, str, int, int]
"""Instance, version, era and mutation id: one operation."""


def identity(event: BodyEvent) -> Identity:
    return (event.instance, event.version, event.era, event.mutation_id)


class Fate(Enum):
    """What became of a start whose completion was not read."""

    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"


AskFates = Callable[[Sequence[BodyEvent], Sequence[LabelEvent]], Mapping[Identity, Fate]]
"""Asks the source about starts; the second are what is known to be done. What the answer lacks is unknown."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a stretch of the log says.

    Args:
        done: what happened, in log order; failed takers of ids as `BurnLabels`.
        pending: started, and neither done nor known to have failed. What depends on them must wait.
        unheard: those of `done` whose completion was not read: the source's bodies have them.
        to_come: took ids before something in this stretch did, and are announced only after it.
        duplicates: announcements that said the same again.
        failed: starts that will never complete.
    """

    done: list[LabelEvent] = field(default_factory=list)
    pending: list[BodyEvent] = field(default_factory=list)
    to_come: list[LabelEvent] = field(default_factory=list)
    unheard: list[BodyEvent] = field(default_factory=list)
    duplicates: int = 0
    failed: int = 0


def gather(
    announcements: Sequence[Announcement | CounterEvent],
    *,
    ahead: Sequence[Announcement | CounterEvent],
    applied_before: Collection[Identity],
    ended_before: int,
    ask: AskFates,
    next_labels: Mapping[str, int],
    waiting: Collection[str] = (),
) -> Gathered:
    """Pair the announcements of one stretch, which are in log order.

    Args:
        ahead: announcements that have been read, but lie past the stretch; in log order too.
        applied_before: operations that were completed and handed on in earlier stretches of the same run.
        ended_before: whether a start with a smaller key than this (ns) and no completion has failed, or goes
            on for long, or lost its completion, is asked of the source.
        ask: does that.
        waiting: instances in which completions may be among what must wait: no start is asked about there.
        next_labels: the source's own counters, by instance; one that is not named can stand anywhere.
    """
    gathered = Gathered()
    done_later = {identity(item.event) for item in ahead if _is_done(item)}
    starts: dict[Identity, BodyEvent] = {}
    completed: dict[Identity, list[BodyEvent]] = {}
    happened: list[LabelEvent] = []
    counters: set[CounterEvent] = set()
    duplicates = failed = 0
    for announcement in announcements:
        if not isinstance(announcement, Announcement):
            twin = replace(announcement, origin=replace(announcement.origin, offset=0, partition=0))
            if twin in counters:
                duplicates += 1
            else:
                counters.add(twin)
                happened.append(announcement)
            continue
        event = announcement.event
        name = identity(event)
        if not announcement.done:
            if starts.setdefault(name, event) is not event:
                duplicates += 1
            continue
        if name in applied_before or any(_same(event, twin) for twin in completed.get(name, ())):
            duplicates += 1
            continue
        completed.setdefault(name, []).append(event)
        start = starts.get(name)
        happened.append(replace(event, started_ns=start.origin.key_ns) if start else event)
    open_starts = {
        name: start for name, start in starts.items() if name not in completed and name not in applied_before
    }
    asked = [
        start
        for name, start in open_starts.items()
        if name not in done_later and start.origin.key_ns < ended_before and start.instance not in waiting
    ]
    fates = ask(asked, [*happened, *(item.event for item in ahead if _is_done(item))]) if asked else {}
    for name, start in open_starts.items():
        fate = fates.get(name, Fate.UNKNOWN)
        if fate is Fate.UNKNOWN:
            gathered.pending.append(start)
            continue
        if fate is Fate.DONE:
            done = replace(start, started_ns=start.origin.key_ns)
            gathered.unheard.append(done)
            happened.append(done)
            continue
        failed += 1
        if (burned := left_by(start, failed=True)) is not None:
            happened.append(burned)
    happened.sort(key=lambda each: each.origin)
    gathered.done.extend(happened)
    known = {*starts, *completed, *applied_before}
    gathered.to_come.extend(_out_of_turn(ahead, known, happened, next_labels))
    return replace(gathered, duplicates=duplicates, failed=failed)


def _is_done(item: Announcement | CounterEvent) -> TypeGuard[Announcement]:
    return isinstance(item, Announcement) and item.done


def _out_of_turn(
    ahead: Sequence[Announcement | CounterEvent],
    known: set[Identity],
    happened: Sequence[LabelEvent],
    next_labels: Mapping[str, int],
) -> list[LabelEvent]:
    """Who takes an id says so a moment later, and another's announcement can come between."""
    highest: dict[str, int] = {}
    for each in happened:
        passed = each.next_label if isinstance(each, SetNextLabel) else _ids(each).last
        # What lies above the source's own counter did not come from it, and tells nothing of it.
        if passed < next_labels.get(each.instance, HIGHEST_GIVEN + 1):
            highest[each.instance] = max(highest.get(each.instance, 0), passed)
    found: list[LabelEvent] = []
    for item in ahead:
        event = item.event if isinstance(item, Announcement) else item
        if isinstance(event, BodyEvent):
            if identity(event) in known:
                continue
            known.add(identity(event))
        before = highest.get(event.instance, 0)
        if isinstance(event, SetNextLabel):
            if event.next_label < before:
                highest[event.instance] = 0  # what comes now says nothing about what came before
        elif _ids(event).picked_by is not PickedBy.REQUEST and _ids(event).first < before:
            found.append(event)
    return found


def _ids(event: LabelEvent) -> Ids:
    return ids_of(event) or _NONE


_NONE = Ids(0, 0, PickedBy.REQUEST)


def _same(one: BodyEvent, other: BodyEvent) -> bool:
    return replace(one, origin=other.origin, started_ns=other.started_ns) == other
