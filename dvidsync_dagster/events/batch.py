"""What a run hands to a destination: an ordered batch of events."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass

from dvidsync_dagster.events.event import Event, NumberedEvent


def _never(_event: NumberedEvent) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Batch:
    """The events at hand: what a chunk of the log says happened, and what earlier chunks could not apply.

    The destination applies all that it can and keeps the order where two events depend on each other.

    Args:
        events: in the order of the log, of one data type after the other.
        awaited: what has not happened yet, as far as can be told, and comes before some that has. It is not
            applied; what depends on it waits too.
        postponed: identities of events that were refused before, and wait for something that is late.
        left_out: identities of events that an earlier run left out, and that are listed so: that one of their
            bodies is gone does not show that they were done since.
        may_be_early: whether an event that is refused may only be early: something before it is late.
        records: how many records of the log it was read from.
        told_up_to: what the source announced up to then (ns since 1970) is in it, or was in one before; 0 if
            that is not known.
        is_last: nothing comes after it up to the start of the run.
        again: it was read before; what the destination lacks of it is applied.
        asked_for: somebody chose just these events: they come before what people changed at the destination.
    """

    events: Sequence[Event]
    awaited: Sequence[Event] = ()
    postponed: Collection[Hashable] = frozenset()
    left_out: Collection[Hashable] = frozenset()
    may_be_early: Callable[[NumberedEvent], bool] = _never
    records: int = 0
    told_up_to: int = 0
    is_last: bool = False
    again: bool = False
    asked_for: bool = False
