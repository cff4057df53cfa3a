"""annotation: elements at points, with relations and tags."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from dvidsync_dagster.datatypes.annotation.commands import ElementPlace, place_of
from dvidsync_dagster.datatypes.annotation.events import ElementEvent, decode
from dvidsync_dagster.datatypes.copied import CopiedType
from dvidsync_dagster.datatypes.server_side import Servers
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.events.event import Announcement, Consequence, Event
from dvidsync_dagster.events.message import Message

if TYPE_CHECKING:
    # What a run that only follows does without: it takes a good part of a second to load.
    from dvidsync_dagster.datatypes.annotation.comparison import AnnotationComparison
    from dvidsync_dagster.datatypes.annotation.repair import AnnotationRepair
    from dvidsync_dagster.datatypes.annotation.side import AnnotationSide
    from dvidsync_dagster.datatypes.annotation.snapshot import AnnotationSnapshot


class AnnotationType(CopiedType):
    typename = "annotation"
    sorts_anew_when_synced = True

    @cached_property
    def comparison(self) -> AnnotationComparison:
        from dvidsync_dagster.datatypes.annotation.comparison import AnnotationComparison

        return AnnotationComparison()

    @cached_property
    def repair(self) -> AnnotationRepair:
        from dvidsync_dagster.datatypes.annotation.repair import AnnotationRepair

        return AnnotationRepair()

    def decode(self, message: Message, instance: Instance | None) -> Announcement | Consequence | None:
        event = decode(message, instance) if instance is not None else None
        return event if event is None or isinstance(event, Consequence) else Announcement(event)

    def items(self, event: Event) -> Sequence[Hashable]:
        place = place_of(event) if isinstance(event, ElementEvent) else ElementPlace()
        return [*place.points, *([place.blob] if place.blob else [])]

    def server_side(self, servers: Servers) -> AnnotationSide:
        from dvidsync_dagster.datatypes.annotation.side import AnnotationSide

        return AnnotationSide(servers)

    def snapshot_side(
        self, source: Transport, instance: Instance, followed: Mapping[str, Instance]
    ) -> AnnotationSnapshot:
        from dvidsync_dagster.datatypes.annotation.snapshot import AnnotationSnapshot

        return AnnotationSnapshot(source, instance, followed)
