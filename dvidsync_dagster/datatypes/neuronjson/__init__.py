"""neuronjson: a record of fields per body, each field with its last user and time."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from dvidsync_dagster.datatypes.copied import CopiedType
from dvidsync_dagster.datatypes.neuronjson.events import PostNeuron, decode
from dvidsync_dagster.datatypes.server_side import Servers
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.events.event import Announcement, Event
from dvidsync_dagster.events.message import Message

if TYPE_CHECKING:
    # What a run that only follows does without: it takes a good part of a second to load.
    from dvidsync_dagster.datatypes.neuronjson.comparison import NeuronjsonComparison
    from dvidsync_dagster.datatypes.neuronjson.repair import NeuronjsonRepair
    from dvidsync_dagster.datatypes.neuronjson.side import NeuronjsonSide
    from dvidsync_dagster.datatypes.neuronjson.snapshot import NeuronjsonSnapshot


class NeuronjsonType(CopiedType):
    typename = "neuronjson"

    @cached_property
    def comparison(self) -> NeuronjsonComparison:
        from dvidsync_dagster.datatypes.neuronjson.comparison import NeuronjsonComparison

        return NeuronjsonComparison()

    @cached_property
    def repair(self) -> NeuronjsonRepair:
        from dvidsync_dagster.datatypes.neuronjson.repair import NeuronjsonRepair

        return NeuronjsonRepair()

    def decode(self, message: Message, instance: Instance | None) -> Announcement | None:
        event = decode(message, instance) if instance is not None else None
        return None if event is None else Announcement(event)

    def items(self, event: Event) -> Sequence[Hashable]:
        return [event.key] if isinstance(event, PostNeuron) else []

    def server_side(self, servers: Servers) -> NeuronjsonSide:
        from dvidsync_dagster.datatypes.neuronjson.side import NeuronjsonSide

        return NeuronjsonSide(servers)

    def snapshot_side(
        self, source: Transport, instance: Instance, followed: Mapping[str, Instance]
    ) -> NeuronjsonSnapshot:
        from dvidsync_dagster.datatypes.neuronjson.snapshot import NeuronjsonSnapshot

        return NeuronjsonSnapshot(source, instance)
