"""What data types have in common that are copied as they stand: keyvalue, neuronjson, annotation.

Their messages tell what changed, not always how. So the source's state of what changed is copied, at the
version where it changed. Doing that twice does no harm, and only the last change counts.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Generic, TypeVar

from dvidsync_dagster.datatypes.commands import Command, Step
from dvidsync_dagster.datatypes.contract import DataType, Rows
from dvidsync_dagster.datatypes.server_side import Servers, ServerSide, Unit
from dvidsync_dagster.datatypes.values_beyond_stop import ValuesBeyondStop
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.dvid.unmade import WithUnmade
from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.plan.claims import Claim, Key
from dvidsync_dagster.plan.outcome import Refusal
from dvidsync_dagster.refusal_reason import RefusalReason

E = TypeVar("E", bound=Event)
K = TypeVar("K")
W = TypeVar("W")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataEvent(Event):
    """What all have in common."""

    name: ClassVar[str]
    """The action, as DVID names it."""

    @property
    def action(self) -> str:
        return self.name


class CopiedType(DataType):
    """A data type whose events each touch items of their own: of an item only the last event counts."""

    @abstractmethod
    def items(self, event: Event) -> Sequence[Hashable]:
        """What an event touches, as far as its message tells."""

    def claims(self, events: Sequence[Event]) -> list[Claim]:
        return [claim([event]) for event in events]

    def apply(self, event: Event, rows: Rows) -> None:
        """The messages hold no values: a row is the last event that touched the item."""
        for item in self.items(event):
            rows[(self.typename, event.instance, event.version, str(item))] = event.origin


class CopyingSide(ServerSide, Generic[E, W]):
    """Copies events of one instance and version together. What can be repeated needs no look at the
    destination before it."""

    event_type: type[E]

    def __init__(self, servers: Servers) -> None:
        super().__init__(servers)
        self._writers: dict[str, W] = {}

    @abstractmethod
    def batches(self, events: Sequence[E]) -> list[Sequence[E]]:
        """Events of one instance and version, which are in log order, as they are copied together."""

    @abstractmethod
    def new_writer(self, instance: str) -> W:
        """What carries out commands for one instance."""

    @abstractmethod
    def repeated(self, events: Sequence[E]) -> tuple[Command, Iterable[Event]]:
        """The command that repeats a batch, and for each part of it the event that answers for it."""

    def goes_before(self, events: Sequence[E]) -> tuple[Key, ...]:
        """What others change only after this batch, see `Claim.goes_before`."""
        return ()

    def units(self, events: Sequence[Event]) -> list[Unit]:
        groups: dict[tuple[str, str], list[E]] = {}
        for event in events:
            assert isinstance(event, self.event_type)
            groups.setdefault((event.instance, event.version), []).append(event)
        return [
            Unit(tuple(batch), claim(batch, self.goes_before(batch)))
            for own in groups.values()
            for batch in self.batches(own)
        ]

    def command(self, units: Sequence[Unit]) -> Step:
        ((*events,),) = (unit.events for unit in units)
        own = [event for event in events if isinstance(event, self.event_type)]
        command, answering = self.repeated(own)
        return Step(command, tuple(events), tuple(answering))

    def refused_beyond(
        self, steps: Sequence[Step], refused: Collection[Event], shown_by: Callable[[str], str]
    ) -> Iterator[tuple[Event, Refusal]]:
        """A copy does not depend on what was refused before it. So the steps are tried, at a destination that
        takes no change; for a version that is still to be made, the ancestor that it begins as is asked."""
        there = replace(
            self.servers,
            destination=WithUnmade(self.servers.destination, shown_by),
            own_values=ValuesBeyondStop(
                self.servers.own_values, lambda version: shown_by(version) == version
            ),
        )
        side = type(self)(there)
        for step in steps:
            for refusal in side.carry_out(step, doubtful=False).refusals:
                yield step.answering[refusal.part], refusal

    def writer(self, instance: str) -> W:
        if instance not in self._writers:
            self._writers.setdefault(instance, self.new_writer(instance))
        return self._writers[instance]

    def instance(self, name: str) -> Instance | None:
        """The source's."""
        return self.servers.repo.instances.get(name)


def claim(events: Sequence[Event], goes_before: tuple[Key, ...] = ()) -> Claim:
    """What events of one instance and version touch that are copied together. Batches of one version may go
    in any order; they belong between its creation and its commit."""
    last = events[-1].origin
    order = (last.key_ns, last.topic, last.partition, last.offset)
    return Claim(
        (),
        order,
        order,
        needs=(("instance", events[0].instance),),
        inside=("version", events[0].version),
        goes_before=goes_before,
    )


def times_of(changes: Iterable[tuple[K, Event]]) -> dict[K, list[int]]:
    """When each item was changed (ns since 1970), by events in log order."""
    times: dict[K, list[int]] = {}
    for item, event in changes:
        times.setdefault(item, []).append(event.origin.key_ns)
    return times


def is_committed(refusal: RequestRefused) -> bool:
    """Whether a request was refused because its version is committed."""
    return refusal.reason is RefusalReason.VERSION_COMMITTED
