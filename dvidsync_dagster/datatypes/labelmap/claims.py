"""What labelmap events touch: bodies of a version, and the instance's label counter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from dvidsync_dagster.datatypes.labelmap.counter_rule import CounterState, ids_of
from dvidsync_dagster.datatypes.labelmap.events import (
    BodyEvent,
    BurnLabels,
    LabelEvent,
    ReserveLabels,
    SetNextLabel,
)
from dvidsync_dagster.plan.claims import Claim, Key, Take

_BEFORE_COMMIT = (BodyEvent, BurnLabels, ReserveLabels)
"""Ids that are gone are reserved before the commit: after it, that needs another version."""


def body_key(instance: str, version: str, label: int) -> Key:
    return ("body", instance, version, label)


def changes_key(instance: str, version: str) -> Key:
    """What all changes of bodies in a version have in common."""
    return ("changes", instance, version)


def counter_key(instance: str) -> Key:
    return ("label counter", instance)


def claims_of(events: Sequence[LabelEvent], counter: Callable[[str], CounterState]) -> list[Claim]:
    """The claims of events, which are given in log order. Those of one instance are tied by its counter.

    Args:
        counter: gives how the destination's counter stands, by instance.
    """
    counters: dict[str, CounterState] = {}
    courses: dict[str, _Course] = {}
    claims = []
    for event in events:
        name = event.instance
        if name not in counters:
            counters[name] = counter(name)
            courses[name] = _Course(counters[name].next_label - 1, counters[name].was_set)
        claims.append(_claim(event, counters[name], courses[name]))
    return claims


def without_ids(claim: Claim) -> Claim:
    """For an event that takes no ids in turn."""
    return claim if claim.take is None else replace(claim, take=None)


@dataclass(slots=True)
class _Course:
    """How the source's counter went, as far as its messages tell.

    Args:
        highest: the highest id that it gave away since it was last set.
        was_set: mode 2.
        set_by: what setting it last created, for those that must come after it.
        setbacks: the keys at which it was set to less than what it had given away.
    """

    highest: int
    was_set: bool
    set_by: tuple[Key, ...] = ()
    setbacks: list[int] = field(default_factory=list)

    @property
    def state(self) -> CounterState:
        return CounterState(self.highest + 1, self.was_set)


def _claim(event: LabelEvent, counter: CounterState, course: _Course) -> Claim:
    origin, instance = event.origin, event.instance
    needs: tuple[Key, ...] = (("instance", instance),)
    creates = None
    taken: int | None = None
    ids = ids_of(event)
    if isinstance(event, SetNextLabel):
        if event.next_label < course.highest:
            course.setbacks.append(origin.key_ns)
        course.highest, course.was_set = event.next_label, True
        creates = (*counter_key(instance), "set", origin.key_ns)
        course.set_by = (creates,)
        taken = event.next_label
    elif ids is not None:
        if ids.given_by(course.state) or ids.move(CounterState(counter.next_label, course.was_set)):
            taken, course.highest = ids.last, max(course.highest, ids.last)
        elif course.was_set:
            # In mode 1 these ids would have moved the counter; in mode 2 they do not. So they come after what
            # set it.
            needs += course.set_by
    take = None
    if taken is not None:
        segment = sum(1 for setback in course.setbacks if setback <= _taken_at(event))
        take = Take(counter_key(instance), segment, taken)
    bodies = event.bodies if isinstance(event, BodyEvent) else ()
    if not isinstance(event, BodyEvent):
        # What an administrator does to the counter can come after the commit, so it is not `inside` the
        # version. But the version must have been made.
        needs += (("version", event.version),)
    return Claim(
        keys=tuple(body_key(instance, event.version, label) for label in bodies),
        rank=event.rank if isinstance(event, BodyEvent) else (origin.key_ns,),
        log_order=origin,
        needs=needs,
        inside=("version", event.version) if isinstance(event, _BEFORE_COMMIT) else None,
        creates=creates,
        take=take,
        changes=changes_key(instance, event.version) if isinstance(event, BodyEvent) else None,
    )


def _taken_at(event: LabelEvent) -> int:
    """The latest moment at which the ids can have been taken: a start is announced right after."""
    if isinstance(event, BodyEvent) and event.started_ns:
        return event.started_ns
    return event.origin.key_ns
