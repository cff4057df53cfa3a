"""keyvalue instances at a DVID server that follows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dvidsync_dagster.datatypes.commands import Command, Step
from dvidsync_dagster.datatypes.copied import CopyingSide
from dvidsync_dagster.datatypes.keyvalue.commands import CopyKeys
from dvidsync_dagster.datatypes.keyvalue.events import KeyEvent, PostKey
from dvidsync_dagster.datatypes.keyvalue.writer import MAX_BYTES, MAX_KEYS, KeyvalueWriter
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
        )
        return command, last.values()

    def new_writer(self, instance: str) -> KeyvalueWriter:
        return KeyvalueWriter(
            Keyvalue(self.servers.source, instance),
            Keyvalue(self.servers.destination, self.servers.at_destination(instance)),
        )

    def carry_out(self, step: Step, *, doubtful: bool) -> Outcome:
        assert isinstance(step.command, CopyKeys)
        return self.writer(step.command.instance).carry_out(step.command)


def batches(events: Sequence[KeyEvent]) -> list[Sequence[KeyEvent]]:
    """At most `MAX_KEYS` keys and `MAX_BYTES` bytes; all events of a key are in one."""
    by_key: dict[str, list[KeyEvent]] = {}
    for event in events:
        by_key.setdefault(event.key, []).append(event)
    batches: list[list[KeyEvent]] = []
    keys = size = 0
    for own in by_key.values():
        bytes_here = _largest(own)
        if not batches or keys == MAX_KEYS or size + bytes_here > MAX_BYTES:
            batches.append([])
            keys = size = 0
        batches[-1] += own
        keys, size = keys + 1, size + bytes_here
    return [sorted(batch, key=lambda event: event.origin) for batch in batches]


def _largest(events: Iterable[KeyEvent]) -> int:
    return max((event.size for event in events if isinstance(event, PostKey)), default=0)
