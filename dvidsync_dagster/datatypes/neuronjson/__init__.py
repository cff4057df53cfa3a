"""neuronjson: a record of fields per body, each field with its last user and time."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from dvidsync_dagster.datatypes.copied import CopiedType
from dvidsync_dagster.datatypes.neuronjson.comparison import NeuronjsonComparison
from dvidsync_dagster.datatypes.neuronjson.events import PostNeuron, decode
from dvidsync_dagster.datatypes.neuronjson.repair import NeuronjsonRepair
from dvidsync_dagster.datatypes.neuronjson.side import NeuronjsonSide
from dvidsync_dagster.datatypes.neuronjson.snapshot import NeuronjsonSnapshot
from dvidsync_dagster.datatypes.server_side import Servers
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.events.event import Announcement, Event
from dvidsync_dagster.events.message import Message


class NeuronjsonType(CopiedType):
    typename = "neuronjson"
    comparison = NeuronjsonComparison()
    repair = NeuronjsonRepair()

    def decode(self, message: Message, instance: Instance | None) -> Announcement | None:
        event = decode(message, instance) if instance is not None else None
        return None if event is None else Announcement(event)

    def items(self, event: Event) -> Sequence[Hashable]:
        return [event.key] if isinstance(event, PostNeuron) else []

    def server_side(self, servers: Servers) -> NeuronjsonSide:
        return NeuronjsonSide(servers)

    def snapshot_side(
        self, source: Transport, instance: Instance, followed: Mapping[str, Instance]
    ) -> NeuronjsonSnapshot:
        return NeuronjsonSnapshot(source, instance)
