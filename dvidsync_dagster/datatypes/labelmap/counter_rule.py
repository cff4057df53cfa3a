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

"Past" is never back. A message of split-supervoxel does not tell who picked its ids: see `REACH`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from dvidsync_dagster.datatypes.labelmap.messages import (
    BodyMutation,
    BurnLabels,
    Cleave,
    LabelMutation,
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
    """The ids from `first` to `last` that a mutation brought into the world."""

    first: int
    last: int
    picked_by: PickedBy

    def given_by(self, state: CounterState) -> bool:
        """Whether the counter gave them. In mode 1 it makes no difference who picked those of a split."""
        if self.picked_by is PickedBy.EITHER:
            return not state.was_set or self.first < state.next_label + REACH
        return self.picked_by is PickedBy.COUNTER

    def move(self, state: CounterState) -> bool:
        """Whether they move a counter that stands so, or moved it when it still stood before them."""
        return self.given_by(state) or (not state.was_set and self.last >= state.next_label)


def ids_of(mutation: LabelMutation) -> Ids | None:
    """None if it brings none."""
    match mutation:
        case Cleave():
            return Ids(mutation.new, mutation.new, PickedBy.COUNTER)
        case Split():
            ids = [mutation.new, *(label for _, *pair in mutation.parts for label in pair)]
            return Ids(min(ids), max(ids), PickedBy.COUNTER)
        case SplitSupervoxel():
            ids = [mutation.split, mutation.remain]
            return Ids(min(ids), max(ids), PickedBy.EITHER)
        case ReserveLabels():
            return Ids(mutation.first, mutation.last, PickedBy.COUNTER)
        case Renumber():
            return Ids(mutation.new, mutation.new, PickedBy.REQUEST)
        case RaiseMaxLabel():
            return Ids(mutation.max_label, mutation.max_label, PickedBy.REQUEST)
        case BurnLabels():
            return ids_of(mutation.left_by)
    return None


def after(state: CounterState, mutation: LabelMutation) -> CounterState:
    """How a counter stands that stood so before the mutation."""
    if isinstance(mutation, SetNextLabel):
        return CounterState(mutation.next_label + 1, was_set=True)
    ids = ids_of(mutation)
    if ids is None or not ids.move(state):
        return state
    return CounterState(max(state.next_label, ids.last + 1), state.was_set)


def left_by(mutation: LabelMutation, *, failed: bool = False) -> LabelMutation | None:
    """What the counter keeps of a mutation that is not repeated, as it failed or is not selected.

    None if it keeps nothing. Setting the counter is for the whole instance: its version, which may be missing
    at the destination, is left out.
    """
    match mutation:
        case SetNextLabel():
            return SetNextLabel(
                origin=mutation.origin,
                instance=mutation.instance,
                version="",
                next_label=mutation.next_label,
                ceiling=mutation.ceiling,
            )
        case Renumber() if failed:
            return None
        case BodyMutation() | RaiseMaxLabel() if ids_of(mutation) is not None:
            return BurnLabels(
                origin=mutation.origin,
                instance=mutation.instance,
                version=mutation.version,
                left_by=mutation,
            )
        case ReserveLabels() | BurnLabels():
            return mutation
    return None
