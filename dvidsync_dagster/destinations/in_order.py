"""The order of a batch for destinations that apply events one after the other, and what of it must wait."""

from __future__ import annotations

from dataclasses import dataclass

from dvidsync_dagster.datatypes.registry import ALL
from dvidsync_dagster.events.batch import Batch
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.plan.order import order


@dataclass(frozen=True, slots=True)
class InOrder:
    """The events that can be applied, in an order in which they can be; and those that must wait."""

    events: list[Event]
    held: list[Event]


def in_order(batch: Batch) -> InOrder:
    """Order a batch. What waits for something that has not happened yet, or was put off, waits too."""
    by_type: dict[str, list[Event]] = {}
    for event in sorted([*batch.events, *batch.awaited], key=lambda event: event.origin):
        by_type.setdefault(event.typename, []).append(event)
    events = [event for own in by_type.values() for event in own]
    ordering = order([claim for name, own in by_type.items() for claim in ALL[name].claims(own)])
    awaited = set(map(id, batch.awaited))
    held = ordering.with_followers(
        index
        for index, event in enumerate(events)
        if id(event) in awaited or event.identity in batch.postponed
    )
    return InOrder(
        events=[events[index] for index in ordering.sequence if index not in held],
        held=[events[index] for index in sorted(held) if id(events[index]) not in awaited],
    )
