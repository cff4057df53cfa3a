"""keyvalue instances at a DVID server that follows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

from dvidsync_dagster.datatypes.commands import Command, Step
from dvidsync_dagster.datatypes.copied import CopyingSide
from dvidsync_dagster.datatypes.keyvalue.batches import fitting
from dvidsync_dagster.datatypes.keyvalue.commands import CopyKeys
from dvidsync_dagster.datatypes.keyvalue.events import KeyEvent, PostKey
from dvidsync_dagster.datatypes.keyvalue.reading import KEYS_PER_REQUEST, read_keys, read_values
from dvidsync_dagster.datatypes.keyvalue.writer import KeyvalueWriter
from dvidsync_dagster.datatypes.own_values import hash_of_file
from dvidsync_dagster.differences.sides import DvidSide
from dvidsync_dagster.dvid.keyvalue import UNREADABLE, Keyvalue, key_bytes
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.log.conflicts import ConflictRow
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
        )
        return command, last.values()

    def new_writer(self, instance: str) -> KeyvalueWriter:
        return KeyvalueWriter(
            Keyvalue(self.servers.source, instance),
            Keyvalue(self.servers.destination, self.servers.at_destination(instance)),
            self.own_values(instance),
        )

    def agrees(self, row: ConflictRow) -> bool:
        source = Keyvalue(self.servers.source, row.instance)
        destination = Keyvalue(self.servers.destination, self.servers.at_destination(row.instance))
        keys = [key for key in row.touched if UNREADABLE not in key]
        return len(keys) == len(row.touched) and all(
            source.value(row.version, key) == destination.value(row.version, key) for key in keys
        )

    def hashes(self, side: DvidSide) -> Iterator[tuple[bytes, int]]:
        keys = read_keys(side)
        while some := list(islice(keys, KEYS_PER_REQUEST)):
            for key, file in zip(some, read_values(side, some), strict=True):
                yield key_bytes(key), hash_of_file(file)

    def carry_out(self, step: Step, *, doubtful: bool) -> Outcome:
        assert isinstance(step.command, CopyKeys)
        return self.writer(step.command.instance).carry_out(step.command, forced=not step.events)

    def touched(self, event: Event) -> Sequence[str]:
        return (event.key,) if isinstance(event, KeyEvent) else ()


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
