"""Labelmaps at a destination: how its bodies are looked at, and a writer for each instance."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import ClassVar

from dvidsync_dagster.datatypes.commands import Step
from dvidsync_dagster.datatypes.labelmap.claims import claims_of, without_ids
from dvidsync_dagster.datatypes.labelmap.counter_rule import CounterState
from dvidsync_dagster.datatypes.labelmap.events import BodyEvent, LabelEvent, Merge
from dvidsync_dagster.datatypes.labelmap.server import combining
from dvidsync_dagster.datatypes.labelmap.server.batch_look import BatchLook, Findings
from dvidsync_dagster.datatypes.labelmap.server.bodies import Bodies
from dvidsync_dagster.datatypes.labelmap.server.bodies_beyond_stop import BodiesBeyondStop
from dvidsync_dagster.datatypes.labelmap.server.bulk_choice import BulkChoice
from dvidsync_dagster.datatypes.labelmap.server.commands import (
    LabelCommand,
    MakeBodies,
    PassIds,
    RaiseHighest,
    SetCounter,
)
from dvidsync_dagster.datatypes.labelmap.server.copied_folder import copied_labelmaps
from dvidsync_dagster.datatypes.labelmap.server.counted import CountedLabelmap
from dvidsync_dagster.datatypes.labelmap.server.counter import LabelCounter
from dvidsync_dagster.datatypes.labelmap.server.counters import Counters
from dvidsync_dagster.datatypes.labelmap.server.first_changes import FirstChanges
from dvidsync_dagster.datatypes.labelmap.server.late_changes import changed_since
from dvidsync_dagster.datatypes.labelmap.server.merge_duration import merge_seconds
from dvidsync_dagster.datatypes.labelmap.server.overtaken import is_past
from dvidsync_dagster.datatypes.labelmap.server.presence import BodyPresence, Seen, find_presence
from dvidsync_dagster.datatypes.labelmap.server.put_back import without_what_ends_as_at_the_source
from dvidsync_dagster.datatypes.labelmap.server.read_in_bulk import known_bodies
from dvidsync_dagster.datatypes.labelmap.server.repeating import combined, command_of, part_of
from dvidsync_dagster.datatypes.labelmap.server.seen import Contact, is_present, look_at_bodies
from dvidsync_dagster.datatypes.labelmap.server.untouched import Untouched
from dvidsync_dagster.datatypes.labelmap.server.writer import LabelmapWriter
from dvidsync_dagster.datatypes.server_side import Presence, Servers, ServerSide, Unit, single
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.repo import read_repo_info
from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.log.checkpoint import Behind, Checkpoint
from dvidsync_dagster.plan.order import Ordering
from dvidsync_dagster.plan.outcome import Outcome, Refusal, refused

SHORT_SECONDS = 2.0
"""What a run that died asked for is done after this time, save where bodies are large."""

_PROBES = 12
_COUNTER_COMMANDS = (PassIds, SetCounter, RaiseHighest)


class LabelmapSide(ServerSide):
    """All labelmaps of a destination."""

    knows_own_values: ClassVar[bool] = False

    def __init__(self, servers: Servers) -> None:
        super().__init__(servers)
        self.contact = Contact(0)
        self.counters = Counters(servers, self._new_writer)
        self._first_changes = FirstChanges(self._labelmap)
        self._may_be_busy = False
        self._in_bulk = BulkChoice(servers, self.counter_state)
        self._looked = False
        self._untouched = Untouched(servers.repo.ancestors, servers.begun)
        self._batch_look = BatchLook((), self._find)

    # Planning

    def units(self, events: Sequence[Event]) -> list[Unit]:
        """A unit for each. What goes in bulk takes no ids in turn: it names its own."""
        self._looked = False
        own = sorted(
            (event for event in events if isinstance(event, LabelEvent)), key=lambda event: event.origin
        )
        made = claims_of(own, self.counter_state)
        return [
            Unit((event,), without_ids(claim), ("labelmap", event.instance, event.version))
            if in_bulk
            else Unit((event,), claim)
            for event, claim, in_bulk in zip(own, made, self._in_bulk.of(own), strict=True)
        ]

    def counter_state(self, instance: str) -> CounterState:
        """How the destination's counter stands."""
        return self.counters.state(instance)

    def joins(self, unit: Unit, open_groups: Sequence[tuple[Unit, int]]) -> Sequence[int]:
        """Only merges are combined."""
        (event,) = unit.events
        if not isinstance(event, Merge):
            return ()
        groups = [(last.events[0], bodies) for last, bodies in open_groups]
        return combining.joins(event, groups, self.servers.history)

    def command(self, units: Sequence[Unit]) -> Step:
        events = tuple(unit.events[0] for unit in units)
        if all(unit.in_bulk for unit in units):
            version, instance = events[0].version, events[0].instance
            return Step(MakeBodies(version=version, instance=instance, looked=self._looked), events, events)
        if len(events) > 1:
            merges = [event for event in events if isinstance(event, Merge)]
            return Step(combined(merges), events, events)
        (event,) = events
        assert isinstance(event, LabelEvent)
        return single(command_of(event), event)

    # What the destination has

    def meet(self, checkpoint: Checkpoint | None) -> None:
        met_at = checkpoint.contact if checkpoint is not None else 0
        era = checkpoint.era if checkpoint is not None else 0
        if not met_at:
            met_at = read_repo_info(self.servers.destination, self.servers.root).next_mutation_id
            if self._copied:
                met_at = min(met_at, self.servers.repo.next_mutation_id)
        self.contact = Contact(met_at, era)
        if checkpoint is not None:
            self._untouched.met(checkpoint.behind)

    @property
    def remembered(self) -> int:
        return self.contact.next_mutation_id

    def find_present(self, units: Sequence[Unit], ordering: Ordering, left_out: Collection[int]) -> Presence:
        """By their bodies; torn ones are mended on the way."""
        self._looked = True
        events = [unit.events[0] for unit in units]
        seen = self._look(units)
        presence = self._presence(events, ordering, seen, left_out)
        if self._may_be_busy:
            self._may_be_busy = False
            presence = self._after_rest(units, ordering, presence, seen, left_out)
        for index in sorted(presence.fresh):
            event = events[index]
            if isinstance(event, BodyEvent):
                self.counters.writer(event.instance).mend_if_torn(event)
        return Presence(presence.present, presence.doubtful)

    def _after_rest(
        self,
        units: Sequence[Unit],
        ordering: Ordering,
        presence: BodyPresence,
        seen: Seen,
        left_out: Collection[int],
    ) -> BodyPresence:
        """Look again once all is done that a run which died can have asked for."""
        events = [unit.events[0] for unit in units]
        seconds = merge_seconds(events, presence.present, seen, self._labelmap)
        if seconds <= SHORT_SECONDS:
            return presence
        self.servers.note(
            f"waited {seconds:.0f} s: what an interrupted run asked for can still be going on here, as the "
            f"bodies are large"
        )
        time.sleep(seconds)
        return self._presence(events, ordering, self._look(units), left_out)

    def _presence(
        self, events: Sequence[Event], ordering: Ordering, seen: Seen, left_out: Collection[int]
    ) -> BodyPresence:
        looks = self.servers.skips or self.servers.others.looks
        never = self._untouched.left_alone(events, seen) if looks else ()
        return find_presence(events, ordering, seen, never, left_out)

    def _look(self, units: Sequence[Unit]) -> Seen:
        seen = Seen({})
        labels = [(event, unit.awaited) for unit in units if isinstance(event := unit.events[0], LabelEvent)]
        for instance in sorted({event.instance for event, _ in labels}):
            own = [event for event, _ in labels if event.instance == instance]
            happened = [event for event, awaited in labels if event.instance == instance and not awaited]
            labelmap = self._labelmap(instance)
            if self.servers.apply != "replay":
                labelmap = known_bodies(labelmap, own, SHORT_SECONDS)
            copied = happened if instance in self._copied else ()
            seen |= look_at_bodies(own, labelmap, self.servers.pool, self.contact, copied=copied)
        if seen.own_from is not None:
            self.contact = replace(self.contact, next_mutation_id=seen.own_from)
        if seen.has_own:
            self.servers.others.seen()
        return seen

    @cached_property
    def _copied(self) -> frozenset[str]:
        """The labelmaps that came with the source's folder."""
        there = read_repo_info(self.servers.destination, self.servers.root).instances
        return copied_labelmaps(self.servers.repo.instances, there)

    def is_past(self, events: Sequence[Event], checkpoint: Checkpoint) -> bool:
        first = [event for event in events if isinstance(event, BodyEvent)][:_PROBES]
        if any(map(self._shows, first)):
            return True
        applied = (checkpoint.era, checkpoint.mutation_id)
        by_instance: dict[str, list[BodyEvent]] = {}
        for event in first:
            by_instance.setdefault(event.instance, []).append(event)
        return any(is_past(own, self._labelmap(name), applied) for name, own in by_instance.items())

    def forget(self) -> None:
        self._may_be_busy = True
        self.counters.forget()
        self._first_changes.forget()

    # Carrying out

    def about_to_carry_out(self, steps: Sequence[Step]) -> None:
        looks = self.servers.others.looks and not self.servers.skips
        self._batch_look = BatchLook(steps if looks else (), self._find)

    def carry_out(self, step: Step, *, doubtful: bool) -> Outcome:
        command = step.command
        assert isinstance(command, LabelCommand)
        parts = max(1, len(step.answering))
        try:
            if isinstance(command, _COUNTER_COMMANDS):
                return self.counters.move(command)
            with self._first_changes.turn(command.instance, command.version) as turn:
                outcome = self._send(command, step.events, doubtful=doubtful)
                turn.done |= not outcome.refusals
                return outcome
        except RequestRefused as refusal:
            return refused(str(refusal), parts, refusal.reason)

    def _send(self, command: LabelCommand, events: Sequence[Event], *, doubtful: bool) -> Outcome:
        """Carry out a command, as far as the bodies that it touches are as the source had them."""
        writer = self.counters.writer(command.instance)
        found = self._findings(command, events)
        if not found.refused and not found.present:
            return writer.carry_out(command, events, doubtful=doubtful)
        left_out = list(found.refused.values())
        kept = [place for place in range(len(events)) if place not in found.refused.keys() | found.present]
        if not kept:
            return Outcome(len(found.present), tuple(left_out))
        outcome = writer.carry_out(part_of(command, events, kept), [events[place] for place in kept])
        left_out += [replace(each, part=kept[each.part]) for each in outcome.refusals]
        return Outcome(len(found.present) + outcome.present, tuple(left_out))

    def _findings(self, command: LabelCommand, events: Sequence[Event]) -> Findings:
        if not self.servers.skips:
            return self._batch_look.of(events)
        return Findings(self._why_not(command.instance, events))

    def _find(self, events: Sequence[BodyEvent]) -> Findings:
        """For a run that stops at what people changed."""
        version, instance = events[0].version, events[0].instance
        refused = self._why_not(instance, events)
        if not refused:
            return Findings()
        bodies = self.counters.writer(instance).bodies
        return without_what_ends_as_at_the_source(refused, bodies, version, events)

    def _why_not(self, instance: str, events: Sequence[Event]) -> Mapping[int, Refusal]:
        return self._untouched.why_not(events, self._labelmap(instance), self.servers.pool, self.contact)

    def needs_version(self, step: Step) -> bool:
        """A counter is the whole instance's: whoever moved it can be in a version that is not followed."""
        return not isinstance(step.command, _COUNTER_COMMANDS)

    def came_too_late(self, step: Step) -> str | None:
        changes = [event for event in step.events if isinstance(event, BodyEvent)]
        info = read_repo_info(self.servers.destination, self.servers.root) if changes else None
        for event in changes:
            assert info is not None
            found = changed_since(event, self._labelmap(event.instance), info)
            if found is not None:
                return found
        return None

    def may_overtake(self, step: Step, refused: Step) -> bool:
        """The source was already working on it while it did the one that is refused here."""
        ended = max(event.origin.key_ns for event in refused.events)
        return any(isinstance(event, BodyEvent) and 0 < event.started_ns < ended for event in step.events)

    def refused_beyond(
        self, steps: Sequence[Step], refused: Collection[Event], shown_by: Callable[[str], str]
    ) -> Iterator[tuple[Event, Refusal]]:
        untouched = self._untouched.beyond([event for event in refused if isinstance(event, BodyEvent)])
        look = self._batch_look if self.servers.others.looks else None
        beyond = BodiesBeyondStop(untouched, self._labelmap, self.servers.pool, self.contact, shown_by, look)
        return beyond.refused(steps, self.servers.repo.ancestors)

    def left_out(self, event: Event) -> None:
        if isinstance(event, BodyEvent):
            self._untouched.left_out(event)

    def behind(self) -> Sequence[Behind]:
        return self._untouched.behind()

    def before_commit(self, version: str) -> None:
        self.counters.settle(version)

    def end_of_chunk(self, applied: Collection[Event], *, at_cut: bool, caught_up: bool) -> None:
        self.counters.touched(applied)
        if caught_up:
            self.counters.follow_source()
        if at_cut:
            self.counters.follow_highest()
        self.counters.settle()

    def _labelmap(self, instance: str) -> Labelmap:
        return Labelmap(self.servers.destination, self.servers.at_destination(instance))

    def _shows(self, event: BodyEvent) -> bool:
        return is_present(event, self._labelmap(event.instance), self.servers.pool, self.contact)

    def _new_writer(self, instance: str, counter: LabelCounter) -> LabelmapWriter:
        name = self.servers.at_destination(instance)
        return LabelmapWriter(
            Bodies(
                source=Labelmap(self.servers.source, instance),
                destination=CountedLabelmap(self.servers.destination, name, self.servers.others.took_id),
                counter=counter,
                shows=self._shows,
                note=self.servers.note,
                pool=self.servers.pool,
                changes=self._changes,
            )
        )

    def _changes(self) -> int:
        return read_repo_info(self.servers.destination, self.servers.root).next_mutation_id
