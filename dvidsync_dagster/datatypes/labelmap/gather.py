"""From announcements to what happened: pair starts with completions, drop duplicates, find what failed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TypeGuard

from dvidsync_dagster.datatypes.labelmap.counter_rule import HIGHEST_GIVEN, Ids, PickedBy, ids_of, left_by
from dvidsync_dagster.datatypes.labelmap.messages import (
    Announcement,
    BodyMutation,
    CounterMutation,
    LabelMutation,
    SetNextLabel,
)

Identity = tuple[str, str, int, int]
"""Instance, version, era and mutation id: one operation."""


def identity(mutation: BodyMutation) -> Identity:
    return (mutation.instance, mutation.version, mutation.era, mutation.mutation_id)


class Fate(Enum):
    """What became of a start whose completion was not read."""

    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"


AskFates = Callable[[Sequence[BodyMutation], Sequence[LabelMutation]], Mapping[Identity, Fate]]
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

    done: list[LabelMutation] = field(default_factory=list)
    pending: list[BodyMutation] = field(default_factory=list)
    to_come: list[LabelMutation] = field(default_factory=list)
    unheard: list[BodyMutation] = field(default_factory=list)
    duplicates: int = 0
    failed: int = 0


def gather(
    announcements: Sequence[Announcement | CounterMutation],
    *,
    ahead: Sequence[Announcement | CounterMutation],
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
    done_later = {identity(item.mutation) for item in ahead if _is_done(item)}
    starts: dict[Identity, BodyMutation] = {}
    completed: dict[Identity, list[BodyMutation]] = {}
    events: list[LabelMutation] = []
    counters: set[CounterMutation] = set()
    duplicates = failed = 0
    for announcement in announcements:
        if not isinstance(announcement, Announcement):
            twin = replace(announcement, origin=replace(announcement.origin, offset=0, partition=0))
            if twin in counters:
                duplicates += 1
            else:
                counters.add(twin)
                events.append(announcement)
            continue
        mutation = announcement.mutation
        name = identity(mutation)
        if not announcement.done:
            if starts.setdefault(name, mutation) is not mutation:
                duplicates += 1
            continue
        if name in applied_before or any(_same(mutation, twin) for twin in completed.get(name, ())):
            duplicates += 1
            continue
        completed.setdefault(name, []).append(mutation)
        start = starts.get(name)
        events.append(replace(mutation, started=start.origin.key) if start else mutation)
    open_starts = {
        name: start for name, start in starts.items() if name not in completed and name not in applied_before
    }
    asked = [
        start
        for name, start in open_starts.items()
        if name not in done_later and start.origin.key < ended_before and start.instance not in waiting
    ]
    fates = ask(asked, [*events, *(item.mutation for item in ahead if _is_done(item))]) if asked else {}
    for name, start in open_starts.items():
        fate = fates.get(name, Fate.UNKNOWN)
        if fate is Fate.UNKNOWN:
            gathered.pending.append(start)
            continue
        if fate is Fate.DONE:
            done = replace(start, started=start.origin.key)
            gathered.unheard.append(done)
            events.append(done)
            continue
        failed += 1
        if (burned := left_by(start, failed=True)) is not None:
            events.append(burned)
    events.sort(key=lambda event: event.origin)
    gathered.done.extend(events)
    known = {*starts, *completed, *applied_before}
    gathered.to_come.extend(_out_of_turn(ahead, known, events, next_labels))
    return replace(gathered, duplicates=duplicates, failed=failed)


def _is_done(item: Announcement | CounterMutation) -> TypeGuard[Announcement]:
    return isinstance(item, Announcement) and item.done


def _out_of_turn(
    ahead: Sequence[Announcement | CounterMutation],
    known: set[Identity],
    events: Sequence[LabelMutation],
    next_labels: Mapping[str, int],
) -> list[LabelMutation]:
    """Who takes an id says so a moment later, and another's announcement can come between."""
    highest: dict[str, int] = {}
    for event in events:
        passed = event.next_label if isinstance(event, SetNextLabel) else _ids(event).last
        # What lies above the source's own counter did not come from it, and tells nothing of it.
        if passed < next_labels.get(event.instance, HIGHEST_GIVEN + 1):
            highest[event.instance] = max(highest.get(event.instance, 0), passed)
    found: list[LabelMutation] = []
    for item in ahead:
        mutation = item.mutation if isinstance(item, Announcement) else item
        if isinstance(mutation, BodyMutation):
            if identity(mutation) in known:
                continue
            known.add(identity(mutation))
        before = highest.get(mutation.instance, 0)
        if isinstance(mutation, SetNextLabel):
            if mutation.next_label < before:
                highest[mutation.instance] = 0  # what comes now says nothing about what came before
        elif _ids(mutation).picked_by is not PickedBy.REQUEST and _ids(mutation).first < before:
            found.append(mutation)
    return found


def _ids(mutation: LabelMutation) -> Ids:
    return ids_of(mutation) or _NONE


_NONE = Ids(0, 0, PickedBy.REQUEST)


def _same(one: BodyMutation, other: BodyMutation) -> bool:
    return replace(one, origin=other.origin, started=other.started) == other
