"""keyvalue: values of any bytes by key."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from dvidsync_dagster.datatypes.copied import CopiedType
from dvidsync_dagster.datatypes.keyvalue.events import KeyEvent, decode
from dvidsync_dagster.datatypes.server_side import Servers
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.events.event import Announcement, Event
from dvidsync_dagster.events.message import Message

if TYPE_CHECKING:
    # What a run that only follows does without: it takes a good part of a second to load.
    from dvidsync_dagster.datatypes.keyvalue.comparison import KeyvalueComparison
    from dvidsync_dagster.datatypes.keyvalue.repair import KeyvalueRepair
    from dvidsync_dagster.datatypes.keyvalue.side import KeyvalueSide
    from dvidsync_dagster.datatypes.keyvalue.snapshot import KeyvalueSnapshot


class KeyvalueType(CopiedType):
    typename = "keyvalue"

    @cached_property
    def comparison(self) -> KeyvalueComparison:
        from dvidsync_dagster.datatypes.keyvalue.comparison import KeyvalueComparison

        return KeyvalueComparison()

    @cached_property
    def repair(self) -> KeyvalueRepair:
        from dvidsync_dagster.datatypes.keyvalue.repair import KeyvalueRepair

        return KeyvalueRepair()

    def decode(self, message: Message, instance: Instance | None) -> Announcement | None:
        event = decode(message, instance) if instance is not None else None
        return None if event is None else Announcement(event)

    def items(self, event: Event) -> Sequence[Hashable]:
        return [event.key] if isinstance(event, KeyEvent) else []

    def server_side(self, servers: Servers) -> KeyvalueSide:
        from dvidsync_dagster.datatypes.keyvalue.side import KeyvalueSide

        return KeyvalueSide(servers)

    def snapshot_side(
        self, source: Transport, instance: Instance, followed: Mapping[str, Instance]
    ) -> KeyvalueSnapshot:
        from dvidsync_dagster.datatypes.keyvalue.snapshot import KeyvalueSnapshot

        return KeyvalueSnapshot(source, instance)
