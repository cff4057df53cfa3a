"""keyvalue instances at a DVID server that follows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain

from dvidsync_dagster.datatypes.commands import Command, Step
from dvidsync_dagster.datatypes.copied import CopyingSide, times_of
from dvidsync_dagster.datatypes.keyvalue.agreeing_keys import agreeing_keys
from dvidsync_dagster.datatypes.keyvalue.batches import fitting
from dvidsync_dagster.datatypes.keyvalue.commands import CopyKeys
from dvidsync_dagster.datatypes.keyvalue.events import KeyEvent, PostKey
from dvidsync_dagster.datatypes.keyvalue.own_keys import digests
from dvidsync_dagster.datatypes.keyvalue.writer import KeyvalueWriter
from dvidsync_dagster.datatypes.server_side import Told
from dvidsync_dagster.differences.sides import DvidSide
from dvidsync_dagster.dvid.keyvalue import Keyvalue
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.plan.outcome import Outcome


class KeyvalueSide(CopyingSide[KeyEvent, KeyvalueWriter]):
    event_type = KeyEvent

    def batches(self, events: Sequence[KeyEvent]) -> list[Sequence[KeyEvent]]:
        return batches(events)

    def repeated(self, events: Sequence[KeyEvent]) -> tuple[Command, Iterable[Event]]:
        """A posted key that the source no longer has is left to the delete that follows in the log."""
        last = {event.key: event for event in events}
        command = CopyKeys(
            version=events[0].version,
            instance=events[0].instance,
            keys=tuple(last),
            stays=frozenset(key for key, event in last.items() if isinstance(event, PostKey)),
            largest=_largest(events),
            times=times_of((event.key, event) for event in events),
        )
        return command, last.values()

    def new_writer(self, instance: str) -> KeyvalueWriter:
        return KeyvalueWriter(
            Keyvalue(self.servers.source, instance),
            Keyvalue(self.servers.destination, self.servers.at_destination(instance)),
            self.servers.own_values,
        )

    def digests(self, side: DvidSide) -> Mapping[int, int] | None:
        return digests(side, self.servers.own_values.most_bytes)

    def agreeing(self, version: str, instance: str, events: Sequence[Told]) -> Collection[int]:
        writer = self.writer(instance)
        keys = {key for event in events for key in event.items}
        same = agreeing_keys(version, writer.source, writer.destination, keys)
        return [place for place, event in enumerate(events) if same.issuperset(event.items)]

    def carry_out(self, step: Step, *, doubtful: bool) -> Outcome:
        assert isinstance(step.command, CopyKeys)
        return self.writer(step.command.instance).carry_out(step.command)


def batches(events: Sequence[KeyEvent]) -> list[Sequence[KeyEvent]]:
    """What goes together; all events of a key are in one."""
    by_key: dict[str, list[KeyEvent]] = {}
    for event in events:
        by_key.setdefault(event.key, []).append(event)
    keys = list(by_key.values())
    together = [keys[some] for some in fitting([_largest(own) for own in keys])]
    return [sorted(chain.from_iterable(some), key=lambda event: event.origin) for some in together]


def _largest(events: Iterable[KeyEvent]) -> int:
    return max((event.size for event in events if isinstance(event, PostKey)), default=0)
