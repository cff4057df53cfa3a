"""What data types have in common that are copied as they stand: keyvalue, neuronjson, annotation.

Their messages tell what changed, not always how. So the source's state of what changed is copied, at the
version where it changed. Doing that twice does no harm, and only the last change counts.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar, Generic, TypeVar

from dvidsync_dagster.datatypes.commands import Command, Step
from dvidsync_dagster.datatypes.contract import DataType, Rows
from dvidsync_dagster.datatypes.own_values import OwnValues
from dvidsync_dagster.datatypes.server_side import Servers, ServerSide, Unit
from dvidsync_dagster.differences.digest import hashed
from dvidsync_dagster.differences.sides import DvidSide
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.errors import NOT_HERE, RefusalReason, RequestRefused
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.plan.claims import Claim, Key

E = TypeVar("E", bound=Event)
W = TypeVar("W")

MOST_NOTED = 1_000_000
"""Values of an instance in a version that are noted when a destination is first met."""

_NOTED_AT_ONCE = 20_000


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
        """Changes of others that come after a batch."""
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

    def writer(self, instance: str) -> W:
        if instance not in self._writers:
            self._writers.setdefault(instance, self.new_writer(instance))
        return self._writers[instance]

    @abstractmethod
    def hashes(self, side: DvidSide) -> Iterator[tuple[bytes, int]]:
        """All values of an instance in a version: their keys as bytes, and hashes."""

    def own_values(self, instance: str) -> OwnValues | None:
        """Tells which of an instance's values are the destination's own; None if none can be."""
        written = self.servers.written
        return OwnValues(instance, self.servers.repo, written) if written is not None else None

    def note_values(self, versions: Collection[str]) -> list[tuple[str, str]]:
        names = [
            each.name
            for each in self.servers.repo.instances.values()
            if each.typename == self.event_type.typename and self.servers.followed(each.name)
        ]
        both = [(name, version) for name in names for version in versions]
        return [each for each in both if self._note_all(*each)]

    def _note_all(self, instance: str, version: str) -> bool:
        """Note all values of an instance in a version; False if they are too many, or it is not there."""
        written = self.servers.written
        assert written is not None
        side = DvidSide(self.servers.destination, version, self.servers.at_destination(instance))
        values = self.hashes(side)
        count = 0
        try:
            while some := {hashed(name): value for name, value in islice(values, _NOTED_AT_ONCE)}:
                written.note(instance, version, some, some)
                count += len(some)
                if count >= MOST_NOTED:
                    self.servers.note(
                        f"{instance}: it has more than {MOST_NOTED:,} values. Those that the destination "
                        f"itself changes in version {version} are not told from those that came with the copy"
                    )
                    return False
        except RequestRefused as refusal:
            if refusal.reason not in NOT_HERE:
                raise
            return False
        return True

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


def is_committed(refusal: RequestRefused) -> bool:
    """Whether a request was refused because its version is committed."""
    return refusal.reason is RefusalReason.VERSION_COMMITTED
