"""What moves the label counter of an instance: one rule, for all that asks.

There is one counter for all versions of an instance, whether they are followed or not. It has two modes. In
mode 1 the next label is one more than the highest label of the repo. `set-nextlabel` leads to mode 2, from
where there is no way back: the next label is one more than a number of the counter's own.

==============================================================  ==================  ==================
what                                                            mode 1              mode 2
==============================================================  ==================  ==================
cleave, split, `nextlabel/k`; a cleave or a split that failed   past the ids given  past the ids given
split-supervoxel, its ids picked by the server; or one failed   past the ids given  past the ids given
split-supervoxel, its ids named by the request; or one failed   past the ids named  not
renumber, `maxlabel`                                            past the label      not
`set-nextlabel/n`                                               to n + 1, mode 2    to n + 1
merge; a renumber that failed                                   not                 not
==============================================================  ==================  ==================

See docs/dvid.md, "Label ids: one counter, two modes". "Past" is never back. A message of split-supervoxel
does not tell who picked its ids: see `REACH`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from dvidsync_dagster.datatypes.labelmap.events import (
    BodyEvent,
    BurnLabels,
    Cleave,
    LabelEvent,
    Merge,
    RaiseMaxLabel,
    Renumber,
    ReserveLabels,
    SetNextLabel,
    Split,
    SplitSupervoxel,
)

REACH = 1000
"""How far ahead of the announcements the source's counter can be: each person at work is ahead by a few. Ids
of a supervoxel split that lie further above a counter of mode 2 were named by the request."""

HIGHEST_GIVEN = 2**64 - 2
"""No counter gives a label above this one."""


@dataclass(frozen=True, slots=True)
class CounterState:
    """How a label counter stands.

    Args:
        next_label: the id that comes next.
        was_set: `set-nextlabel` was used (mode 2).
    """

    next_label: int
    was_set: bool


class PickedBy(Enum):
    """Who picked ids."""

    COUNTER = auto()
    REQUEST = auto()
    EITHER = auto()


@dataclass(frozen=True, slots=True)
class Ids:
    """The ids from `first` to `last` that an event brought into the world."""

    first: int
    last: int
    picked_by: PickedBy

    def given_by(self, state: CounterState) -> bool:
        """Whether the counter gave them. In mode 1 it makes no difference who picked those of a split."""
        if self.picked_by is PickedBy.EITHER:
            return not state.was_set or self.first < state.next_label + REACH
        return self.picked_by is PickedBy.COUNTER

    def move(self, state: CounterState) -> bool:
        """Whether they move a counter that stands so; True for all that it gave, also if it is past them."""
        return self.given_by(state) or (not state.was_set and self.last >= state.next_label)


def ids_of(event: LabelEvent) -> Ids | None:
    """None if it brings none."""
    match event:
        case Merge():  # most of all
            return None
        case Cleave():
            return Ids(event.new, event.new, PickedBy.COUNTER)
        case Split():
            ids = [event.new, *(label for _, *pair in event.parts for label in pair)]
            return Ids(min(ids), max(ids), PickedBy.COUNTER)
        case SplitSupervoxel():
            ids = [event.split, event.remain]
            return Ids(min(ids), max(ids), PickedBy.EITHER)
        case ReserveLabels():
            return Ids(event.first, event.last, PickedBy.COUNTER)
        case Renumber():
            return Ids(event.new, event.new, PickedBy.REQUEST)
        case RaiseMaxLabel():
            return Ids(event.max_label, event.max_label, PickedBy.REQUEST)
        case BurnLabels():
            return ids_of(event.left_by)
    return None


def past(state: CounterState, ids: Ids) -> CounterState:
    """How a counter stands once these ids came into the world; `state` is how it stood before."""
    if not ids.move(state):
        return state
    return CounterState(max(state.next_label, ids.last + 1), state.was_set)


def left_by(event: LabelEvent, *, failed: bool = False) -> LabelEvent | None:
    """What the counter keeps of an event that is not repeated, as it failed or is not selected.

    None if it keeps nothing. Setting the counter is for the whole instance: its version, which may be missing
    at the destination, is left out.
    """
    match event:
        case SetNextLabel():
            return SetNextLabel(
                origin=event.origin,
                instance=event.instance,
                version="",
                next_label=event.next_label,
                ceiling=event.ceiling,
            )
        case Renumber() if failed:
            return None
        case BodyEvent() | RaiseMaxLabel() if ids_of(event) is not None:
            return BurnLabels(
                origin=event.origin,
                instance=event.instance,
                version=event.version,
                left_by=event,
            )
        case ReserveLabels() | BurnLabels():
            return event
    return None
