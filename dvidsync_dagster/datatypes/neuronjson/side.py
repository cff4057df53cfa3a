"""neuronjson instances at a DVID server that follows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from dvidsync_dagster.datatypes.commands import Command, Step
from dvidsync_dagster.datatypes.copied import CopyingSide, times_of
from dvidsync_dagster.datatypes.neuronjson.commands import CopyNeurons
from dvidsync_dagster.datatypes.neuronjson.events import SCHEMAS, PostNeuron, body_of
from dvidsync_dagster.datatypes.neuronjson.own_neurons import digests
from dvidsync_dagster.datatypes.neuronjson.writer import NeuronjsonWriter
from dvidsync_dagster.datatypes.server_side import Told
from dvidsync_dagster.differences.sides import DvidSide
from dvidsync_dagster.dvid.neuronjson import Neuronjson
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.plan.outcome import Outcome

MAX_RECORDS = 500
"""Records in one request."""


class NeuronjsonSide(CopyingSide[PostNeuron, NeuronjsonWriter]):
    event_type = PostNeuron
    announces_deletes = False

    def batches(self, events: Sequence[PostNeuron]) -> list[Sequence[PostNeuron]]:
        return batches(events)

    def repeated(self, events: Sequence[PostNeuron]) -> tuple[Command, Iterable[Event]]:
        """What has no body for a key and is no schema was refused by the source: there is nothing to copy."""
        bodies = {event.body: event for event in events if event.body is not None}
        schemas = {event.key: event for event in events if event.key in SCHEMAS}
        command = CopyNeurons(
            version=events[0].version,
            instance=events[0].instance,
            bodies=tuple(bodies),
            schemas=tuple(schemas),
            times=times_of((event.key if event.body is None else event.body, event) for event in events),
        )
        return command, [*bodies.values(), *schemas.values()]

    def new_writer(self, instance: str) -> NeuronjsonWriter:
        return NeuronjsonWriter(
            Neuronjson(self.servers.source, instance),
            Neuronjson(self.servers.destination, self.servers.at_destination(instance)),
            self.servers.own_values,
        )

    def digests(self, side: DvidSide) -> Mapping[int, int] | None:
        return digests(side, self.servers.own_values.most_bytes)

    def agreeing(self, version: str, instance: str, events: Sequence[Told]) -> Collection[int]:
        """What names neither a body nor a schema the source has not taken."""
        asked = [{body_of(key) or key for key in event.items} for event in events]
        named = {each for own in asked for each in own if isinstance(each, int) or each in SCHEMAS}
        same = self.writer(instance).agreeing(version, named)
        return [place for place, own in enumerate(asked) if own <= same]

    def carry_out(self, step: Step, *, doubtful: bool) -> Outcome:
        assert isinstance(step.command, CopyNeurons)
        return self.writer(step.command.instance).carry_out(step.command)


def batches(events: Sequence[PostNeuron]) -> list[Sequence[PostNeuron]]:
    """At most `MAX_RECORDS` keys; all events of a key are in one."""
    by_key: dict[str, list[PostNeuron]] = {}
    for event in events:
        by_key.setdefault(event.key, []).append(event)
    groups = list(by_key.values())
    batches = [groups[start : start + MAX_RECORDS] for start in range(0, len(groups), MAX_RECORDS)]
    return [
        sorted((event for group in batch for event in group), key=lambda event: event.origin)
        for batch in batches
    ]
