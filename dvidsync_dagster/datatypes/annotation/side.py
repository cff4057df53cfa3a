"""annotation instances at a DVID server that follows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from dvidsync_dagster.datatypes.annotation.commands import CopyElements, place_of, place_told
from dvidsync_dagster.datatypes.annotation.events import ElementEvent
from dvidsync_dagster.datatypes.annotation.own_elements import digests
from dvidsync_dagster.datatypes.annotation.writer import AnnotationWriter, new_writer
from dvidsync_dagster.datatypes.commands import Command, Step
from dvidsync_dagster.datatypes.copied import CopyingSide
from dvidsync_dagster.datatypes.server_side import Told
from dvidsync_dagster.differences.sides import DvidSide
from dvidsync_dagster.dvid.annotation import Annotation
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.plan.claims import Key
from dvidsync_dagster.plan.outcome import Outcome


class AnnotationSide(CopyingSide[ElementEvent, AnnotationWriter]):
    event_type = ElementEvent

    def batches(self, events: Sequence[ElementEvent]) -> list[Sequence[ElementEvent]]:
        """One for all: elements are tied to each other by their relations."""
        return [events]

    def goes_before(self, events: Sequence[ElementEvent]) -> tuple[Key, ...]:
        """See docs/dvid.md, "Elements and bodies". DVID sorts elements by body behind its answers, and loses
        what is posted meanwhile. So elements come first, while no label changes; its own sync then moves them
        along with the bodies."""
        return tuple(("changes", labelmap, events[0].version) for labelmap in events[0].synced)

    def repeated(self, events: Sequence[ElementEvent]) -> tuple[Command, Iterable[Event]]:
        command = CopyElements(
            version=events[0].version,
            instance=events[0].instance,
            places=tuple(place_of(event) for event in events),
        )
        return command, events

    def new_writer(self, instance: str) -> AnnotationWriter:
        servers = self.servers
        return new_writer(
            Annotation(servers.source, instance),
            Annotation(servers.destination, servers.at_destination(instance)),
            servers.repo.instances,
            servers.own_values,
        )

    def digests(self, side: DvidSide) -> Mapping[int, int] | None:
        return digests(side, self.servers.own_values.most_bytes)

    def agreeing(self, version: str, instance: str, events: Sequence[Told]) -> Collection[int]:
        told = [(at, place_told(event.action, event.items)) for at, event in enumerate(events)]
        known = [(at, place) for at, place in told if place is not None]
        same = self.writer(instance).agreeing(version, [place for _, place in known])
        return [known[number][0] for number in same]

    def carry_out(self, step: Step, *, doubtful: bool) -> Outcome:
        assert isinstance(step.command, CopyElements)
        return self.writer(step.command.instance).carry_out(step.command)
