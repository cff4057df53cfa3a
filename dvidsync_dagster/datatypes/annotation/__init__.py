"""annotation: elements at points, with relations and tags."""

from __future__ import annotations

from dvidsync_dagster.datatypes.annotation.events import decode
from dvidsync_dagster.datatypes.annotation.side import AnnotationSide
from dvidsync_dagster.datatypes.contract import DataType
from dvidsync_dagster.datatypes.server_side import Servers
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.events.event import Announcement, Consequence
from dvidsync_dagster.events.message import Message


class AnnotationType(DataType):
    typename = "annotation"
    sorts_anew_when_synced = True

    def decode(self, message: Message, instance: Instance | None) -> Announcement | Consequence | None:
        event = decode(message, instance) if instance is not None else None
        return event if event is None or isinstance(event, Consequence) else Announcement(event)

    def server_side(self, servers: Servers) -> AnnotationSide:
        return AnnotationSide(servers)
