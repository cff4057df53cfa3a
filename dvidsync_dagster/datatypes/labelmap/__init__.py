"""labelmap: bodies made of supervoxels; merges, cleaves, renumbers, splits and the label counter."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import Executor
from functools import cached_property
from typing import TYPE_CHECKING

from dvidsync_dagster.datatypes.contract import DataType, Rows
from dvidsync_dagster.datatypes.labelmap.claims import claims_of
from dvidsync_dagster.datatypes.labelmap.counter_rule import CounterState, left_by
from dvidsync_dagster.datatypes.labelmap.decoding import decode
from dvidsync_dagster.datatypes.labelmap.effects import apply
from dvidsync_dagster.datatypes.labelmap.events import BodyEvent, LabelEvent, SetNextLabel
from dvidsync_dagster.datatypes.labelmap.gather import gather
from dvidsync_dagster.datatypes.labelmap.server.side import LabelmapSide
from dvidsync_dagster.datatypes.labelmap.unfinished import LabelmapSource
from dvidsync_dagster.datatypes.server_side import Servers
from dvidsync_dagster.datatypes.source_side import Gathered, SourceSide, Stretch
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.events.event import Announcement, Event
from dvidsync_dagster.events.message import Message
from dvidsync_dagster.plan.claims import Claim

if TYPE_CHECKING:
    # What a run that only follows does without: it takes a good part of a second to load.
    from dvidsync_dagster.datatypes.labelmap.comparison import LabelmapComparison
    from dvidsync_dagster.datatypes.labelmap.repair import LabelmapRepair
    from dvidsync_dagster.datatypes.labelmap.snapshot.side import LabelmapSnapshot


class LabelmapType(DataType):
    typename = "labelmap"
    numbers_events = True

    @cached_property
    def comparison(self) -> LabelmapComparison:
        from dvidsync_dagster.datatypes.labelmap.comparison import LabelmapComparison

        return LabelmapComparison()

    @cached_property
    def repair(self) -> LabelmapRepair:
        from dvidsync_dagster.datatypes.labelmap.repair import LabelmapRepair

        return LabelmapRepair()

    def decode(self, message: Message, instance: Instance | None) -> Announcement | None:
        return decode(message, instance.name) if instance is not None else None

    def gather(self, stretch: Stretch) -> Gathered:
        return gather(stretch)

    def unselected(self, event: Event) -> Event | None:
        """The ids that it took are taken in all versions."""
        return left_by(event) if isinstance(event, LabelEvent) else None

    def not_again(self, event: Event) -> bool:
        """To set a label counter once more would take back what it gave since."""
        return isinstance(event, SetNextLabel)

    def claims(self, events: Sequence[Event]) -> list[Claim]:
        own = [event for event in events if isinstance(event, LabelEvent)]
        return claims_of(own, lambda _: CounterState(next_label=1, was_set=False))

    def items(self, event: Event) -> Sequence[Hashable]:
        """Bodies."""
        return [body for body in event.bodies if body] if isinstance(event, BodyEvent) else ()

    def apply(self, event: Event, rows: Rows) -> None:
        assert isinstance(event, LabelEvent)
        apply(event, rows)

    def source_side(self, client: Transport, clock: int, started: int | None, pool: Executor) -> SourceSide:
        return LabelmapSource(client, clock, started, pool)

    def snapshot_side(
        self, source: Transport, instance: Instance, followed: Mapping[str, Instance]
    ) -> LabelmapSnapshot:
        from dvidsync_dagster.datatypes.labelmap.snapshot.side import LabelmapSnapshot

        return LabelmapSnapshot(source, instance)

    def counter(self, source: Transport, instance: str, root: str) -> int | None:
        return Labelmap(source, instance).next_label(root)

    def server_side(self, servers: Servers) -> LabelmapSide:
        return LabelmapSide(servers)
