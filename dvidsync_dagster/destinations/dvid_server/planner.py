"""From a batch of events to a graph of commands for a DVID server."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from dvidsync_dagster.datatypes.commands import Step
from dvidsync_dagster.datatypes.server_side import Presence, ServerSide, Unit
from dvidsync_dagster.events.batch import Batch
from dvidsync_dagster.events.event import Event, NumberedEvent
from dvidsync_dagster.plan.bulk_groups import joined_in_bulk
from dvidsync_dagster.plan.order import Ordering, order
from dvidsync_dagster.plan.steps import OpenGroup, build_groups

Sides = Mapping[str, ServerSide]
"""By data type."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A batch as a graph of steps.

    Args:
        steps: to carry out.
        applied: events that are done once the steps are, those that were present included.
        present: of these, the ones that were present.
        held: events that must wait for the next chunk or run.
        doubtful: steps, by index, that may be half done.
    """

    steps: list[Step]
    applied: list[Event]
    present: list[Event]
    held: list[Event]
    doubtful: frozenset[int]

    @property
    def lacked_some(self) -> bool:
        """Whether an event with a mutation id was not present yet."""
        return any(isinstance(event, NumberedEvent) for step in self.steps for event in step.events)


def make_plan(batch: Batch, sides: Sides, *, looking: bool) -> Plan:
    """Order the batch, leave out what must wait and (looking) what the destination has, and combine what one
    command can repeat."""
    units = units_of([*batch.events, *batch.awaited], sides)
    awaited = set(map(id, batch.awaited))
    for index, unit in enumerate(units if awaited else ()):
        if not awaited.isdisjoint(map(id, unit.events)):
            units[index] = replace(unit, awaited=True)
    claims = [unit.claim for unit in units]
    ordering = order(claims)
    held = ordering.with_followers(_waiting(units, batch))
    presence = _find_present(units, ordering, sides, batch.left_out) if looking else Presence()
    # What waits is not there: its predecessor still runs at the source.
    present = presence.present - held
    for index in presence.doubtful:
        # What may be half done is looked at closer, alone.
        units[index] = replace(units[index], in_bulk=None)

    def joins(index: int, open_groups: Sequence[OpenGroup]) -> Sequence[int]:
        # What shares an exclusive key is of one data type.
        groups = [(units[group.last], group.keys) for group in open_groups]
        return sides[_typename(units[index])].joins(units[index], groups)

    groups = build_groups(claims, ordering, leave_out=held | present, joins=joins)
    in_bulk = [_in_bulk(units, group.members) for group in groups]
    groups = joined_in_bulk(groups, in_bulk, ordering.sequence)
    steps = [
        replace(_command([units[member] for member in group.members], sides), waits_for=group.waits_for)
        for group in groups
    ]
    doubtful = (
        place for place, group in enumerate(groups) if not presence.doubtful.isdisjoint(group.members)
    )
    return Plan(
        steps=steps,
        applied=_events(units, (index for index in range(len(units)) if index not in held)),
        present=_events(units, sorted(present)),
        held=[event for event in _events(units, sorted(held)) if id(event) not in awaited],
        doubtful=frozenset(doubtful),
    )


def units_of(events: Sequence[Event], sides: Sides) -> list[Unit]:
    """The units of all events, of one data type after the other."""
    by_type: dict[str, list[Event]] = {}
    for event in events:
        by_type.setdefault(event.typename, []).append(event)
    return [unit for typename, own in by_type.items() for unit in sides[typename].units(own)]


def _in_bulk(units: Sequence[Unit], members: Sequence[int]) -> Hashable | None:
    keys = {units[member].in_bulk for member in members}
    return keys.pop() if len(keys) == 1 else None


def _typename(unit: Unit) -> str:
    return unit.events[0].typename


def _command(units: Sequence[Unit], sides: Sides) -> Step:
    return sides[_typename(units[0])].command(units)


def _waiting(units: Sequence[Unit], batch: Batch) -> list[int]:
    if not batch.awaited and not batch.postponed:
        return []
    return [index for index, unit in enumerate(units) if unit.awaited or _has_one_of(unit, batch.postponed)]


def _has_one_of(unit: Unit, identities: Collection[object]) -> bool:
    return any(isinstance(event, NumberedEvent) and event.identity in identities for event in unit.events)


def _find_present(
    units: Sequence[Unit], ordering: Ordering, sides: Sides, left_out: Collection[object]
) -> Presence:
    found = Presence()
    listed = {index for index, unit in enumerate(units) if _has_one_of(unit, left_out)} if left_out else set()
    for typename in {_typename(unit) for unit in units}:
        presence = sides[typename].find_present(units, ordering, listed)
        found.present.update(presence.present)
        found.doubtful.update(presence.doubtful)
    return found


def _events(units: Sequence[Unit], indexes: Iterable[int]) -> list[Event]:
    return [event for index in indexes for event in units[index].events]
