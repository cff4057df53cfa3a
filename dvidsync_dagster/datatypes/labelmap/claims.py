"""What labelmap mutations touch: bodies of a version, and the instance's label counter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dvidsync_dagster.datatypes.labelmap.messages import (
    BodyMutation,
    BurnLabels,
    LabelMutation,
    RaiseMaxLabel,
    Renumber,
    ReserveLabels,
    SetNextLabel,
)
from dvidsync_dagster.plan.claims import Claim, Key, Take


def body_key(instance: str, version: str, label: int) -> Key:
    return ("body", instance, version, label)


def counter_key(instance: str) -> Key:
    return ("label counter", instance)


@dataclass(frozen=True, slots=True)
class CounterState:
    """How an instance's counter stood before the mutations.

    Args:
        next_label: the id that comes next.
        was_set: `set-nextlabel` was used (mode 2): renumbers no longer raise it.
    """

    next_label: int
    was_set: bool


def claims(mutations: Sequence[LabelMutation], counter: CounterState) -> list[Claim]:
    """The claims of one instance's mutations, which are given in log order."""
    setbacks = _setbacks(mutations, counter)
    first_set = min(
        (mutation.origin.key for mutation in mutations if isinstance(mutation, SetNextLabel)),
        default=None,
    )
    found = []
    for mutation in mutations:
        origin = mutation.origin
        taken = _first_taken(mutation, counter, first_set)
        take = None
        if taken is not None:
            segment = sum(1 for setback in setbacks if setback <= _taken_at(mutation))
            take = Take(counter_key(mutation.instance), segment, taken)
        log_order = (origin.key, origin.topic, origin.partition, origin.offset)
        found.append(
            Claim(
                keys=tuple(body_key(mutation.instance, mutation.version, label) for label in mutation.bodies)
                if isinstance(mutation, BodyMutation)
                else (),
                rank=mutation.rank if isinstance(mutation, BodyMutation) else (origin.key,),
                log_order=log_order,
                needs=(("instance", mutation.instance),),
                inside=("version", mutation.version),
                take=take,
            )
        )
    return found


def _first_taken(mutation: LabelMutation, counter: CounterState, first_set: int | None) -> int | None:
    """The smallest id that the mutation took from the counter, None if it did not move it."""
    match mutation:
        case Renumber():
            was_set = counter.was_set or (first_set is not None and mutation.origin.key > first_set)
            return None if was_set or mutation.new < counter.next_label else mutation.new
        case BodyMutation():
            return min(mutation.taken, default=None)
        case ReserveLabels():
            return mutation.first
        case RaiseMaxLabel():
            return mutation.max_label
        case SetNextLabel():
            return mutation.next_label
        case BurnLabels():
            return min(mutation.labels)
    return None


def _taken_at(mutation: LabelMutation) -> int:
    """The latest moment at which the ids can have been taken: a start is announced right after."""
    if isinstance(mutation, BodyMutation) and mutation.started:
        return mutation.started
    return mutation.origin.key


def _setbacks(mutations: Sequence[LabelMutation], counter: CounterState) -> list[int]:
    """The keys at which the counter was set to less than what it had already given away."""
    highest = counter.next_label - 1
    found = []
    for mutation in mutations:
        if isinstance(mutation, SetNextLabel):
            if mutation.next_label < highest:
                found.append(mutation.origin.key)
            highest = mutation.next_label
        elif isinstance(mutation, ReserveLabels):
            highest = max(highest, mutation.last)
        elif isinstance(mutation, RaiseMaxLabel):
            highest = max(highest, mutation.max_label)
        elif isinstance(mutation, BodyMutation):
            highest = max((highest, *mutation.taken))
        elif isinstance(mutation, BurnLabels):
            highest = max((highest, *mutation.labels))
    return found
