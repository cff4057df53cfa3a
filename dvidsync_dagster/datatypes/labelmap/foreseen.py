"""Where the label counter will stand once commands are carried out. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from dvidsync_dagster.datatypes.labelmap.counter_rule import CounterState, Ids, PickedBy, past
from dvidsync_dagster.datatypes.labelmap.server.commands import (
    CleaveBody,
    Fresh,
    LabelCommand,
    RenumberBody,
    SplitSupervoxels,
    TakeLabel,
)

InUse = Callable[[int], bool]
"""Whether a body has a label."""


def counter_after(
    state: CounterState, commands: Sequence[LabelCommand], ceiling: int, in_use: InUse
) -> CounterState:
    """Where the counter of the destination stands after commands.

    Args:
        state: how it stands before.
        commands: those of a plan, in their order.
        ceiling: the source's next label. To let a cleave get its label the counter skips labels, but never
            past this one: then the new body is renumbered instead.
    """
    for command in commands:
        match command:
            case CleaveBody():
                state = _after_cleave(state, command, ceiling, in_use)
            case TakeLabel():
                state = _after_given(_free(state, command.avoid, in_use))
            case SplitSupervoxels():
                state = _after_named(state, command.ids.last)
            case RenumberBody():
                # A fresh label has been given already.
                state = state if isinstance(command.new, Fresh) else _after_named(state, command.new)
    return state


def _after_cleave(state: CounterState, command: CleaveBody, ceiling: int, in_use: InUse) -> CounterState:
    new = command.new
    if isinstance(new, Fresh):
        return _after_given(_free(state, command.avoid, in_use))
    if state.next_label == new or state.next_label < new < ceiling:
        return _after_given(CounterState(new, state.was_set))
    return _after_named(_after_given(_free(state, command.avoid, in_use)), new)


def _free(state: CounterState, avoid: Collection[int], in_use: InUse) -> CounterState:
    """Moved past labels that bodies have, and past those that other commands need later (`avoid`)."""
    label = state.next_label
    while label in avoid or in_use(label):
        label += 1
    return CounterState(label, state.was_set)


def _after_given(state: CounterState) -> CounterState:
    """The counter gives its next label."""
    return CounterState(state.next_label + 1, state.was_set)


def _after_named(state: CounterState, label: int) -> CounterState:
    """A request names a label."""
    return past(state, Ids(label, label, PickedBy.REQUEST))
