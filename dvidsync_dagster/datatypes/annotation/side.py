"""annotation instances at a DVID server that follows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from dvidsync_dagster.datatypes.annotation.commands import CopyElements
from dvidsync_dagster.datatypes.annotation.comparison import read_blocks
from dvidsync_dagster.datatypes.annotation.events import ElementEvent
from dvidsync_dagster.datatypes.annotation.places import place_of
from dvidsync_dagster.datatypes.annotation.writer import AnnotationWriter, hash_of_elements, new_writer
from dvidsync_dagster.datatypes.commands import Command, Step
from dvidsync_dagster.datatypes.copied import CopyingSide
from dvidsync_dagster.differences.sides import DvidSide
from dvidsync_dagster.dvid.annotation import Annotation, Element, Point, point_of, point_text
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.log.conflicts import ConflictRow
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
            self.own_values(instance),
        )

    def agrees(self, row: ConflictRow) -> bool:
        points = [point_of(text) for text in row.touched]
        one, writer = (1, 1, 1), self.writer(row.instance)
        return all(
            hash_of_elements(writer.source.elements(row.version, point, one))
            == hash_of_elements(writer.destination.elements(row.version, point, one))
            for point in points
        )

    def hashes(self, side: DvidSide) -> Iterator[tuple[bytes, int]]:
        for _block, found in read_blocks(side):
            at_point: dict[Point, list[Element]] = {}
            for point, element in found:
                at_point.setdefault(point, []).append(element)
            for point, elements in at_point.items():
                yield point_text(point).encode(), hash_of_elements(elements)

    def carry_out(self, step: Step, *, doubtful: bool) -> Outcome:
        assert isinstance(step.command, CopyElements)
        return self.writer(step.command.instance).carry_out(step.command, forced=not step.events)

    def touched(self, event: Event) -> Sequence[str]:
        if not isinstance(event, ElementEvent):
            return ()
        return [point_text(point) for point in place_of(event).points]
