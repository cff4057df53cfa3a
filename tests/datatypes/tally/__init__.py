"""A data type that DVID does not have: numbers that are counted up, by name.

It shows what a new data type must bring: this package, a line in the registry, and its page in the docs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from dvidsync_dagster.datatypes.commands import Command, Step
from dvidsync_dagster.datatypes.contract import DataType, Rows
from dvidsync_dagster.datatypes.copied import claim
from dvidsync_dagster.datatypes.server_side import Servers, ServerSide, Unit
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.events.event import Announcement, Event
from dvidsync_dagster.events.message import Message
from dvidsync_dagster.plan.claims import Claim
from dvidsync_dagster.plan.outcome import DONE, Outcome, refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Count(Event):
    """A number went up."""

    typename: ClassVar[str] = "tally"

    name: str
    by: int

    @property
    def action(self) -> str:
        return "count"


@dataclass(frozen=True, slots=True, kw_only=True)
class Add(Command):
    """Add to numbers. A number is one part of the command."""

    typename: ClassVar[str] = "tally"

    numbers: tuple[tuple[str, int], ...]


class TallySide(ServerSide):
    """Numbers of a destination, in memory. It takes nothing for a name that begins with a dot."""

    def __init__(self, servers: Servers, numbers: dict[str, int]) -> None:
        super().__init__(servers)
        self.numbers = numbers

    def units(self, events: Sequence[Event]) -> list[Unit]:
        own: dict[tuple[str, str], list[Event]] = {}
        for event in events:
            own.setdefault((event.instance, event.version), []).append(event)
        return [Unit(tuple(group), claim(group)) for group in own.values()]

    def command(self, units: Sequence[Unit]) -> Step:
        ((*events,),) = (unit.events for unit in units)
        sums: dict[str, int] = {}
        last: dict[str, Event] = {}
        for event in _counts(events):
            sums[event.name] = sums.get(event.name, 0) + event.by
            last[event.name] = event
        command = Add(version=events[0].version, instance=events[0].instance, numbers=tuple(sums.items()))
        return Step(command, tuple(events), tuple(last.values()))

    def carry_out(self, step: Step, *, doubtful: bool) -> Outcome:
        assert isinstance(step.command, Add)
        if any(name.startswith(".") for name, _ in step.command.numbers):
            return refused("a name begins with a dot", len(step.answering))
        for name, by in step.command.numbers:
            self.numbers[name] = self.numbers.get(name, 0) + by
        return DONE


@dataclass
class TallyType(DataType):
    """`numbers` are those of the destination."""

    typename: ClassVar[str] = "tally"

    numbers: dict[str, int] = field(default_factory=dict)

    def decode(self, message: Message, instance: Instance | None) -> Announcement | None:
        if message.action != "count" or instance is None:
            return None
        return Announcement(
            Count(
                origin=message.origin,
                instance=instance.name,
                version=message.version,
                name=message.name("Name"),
                by=message.count("By"),
            )
        )

    def claims(self, events: Sequence[Event]) -> list[Claim]:
        return [claim([event]) for event in events]

    def apply(self, event: Event, rows: Rows) -> None:
        for count in _counts([event]):
            row = (self.typename, count.instance, count.version, count.name)
            rows[row] = rows.get(row, 0) + count.by

    def server_side(self, servers: Servers) -> ServerSide:
        return TallySide(servers, self.numbers)


def _counts(events: Iterable[Event]) -> list[Count]:
    return [event for event in events if isinstance(event, Count)]
