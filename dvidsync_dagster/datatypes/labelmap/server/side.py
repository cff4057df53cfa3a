"""Labelmaps at a destination: how its bodies are looked at, and a writer for each instance."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from dvidsync_dagster.datatypes.commands import Step
from dvidsync_dagster.datatypes.labelmap.claims import body_key, claims_of
from dvidsync_dagster.datatypes.labelmap.counter_rule import CounterState
from dvidsync_dagster.datatypes.labelmap.events import BodyEvent, LabelEvent, Merge
from dvidsync_dagster.datatypes.labelmap.server import combining
from dvidsync_dagster.datatypes.labelmap.server.bodies import Bodies
from dvidsync_dagster.datatypes.labelmap.server.commands import (
    LabelCommand,
    PassIds,
    RaiseHighest,
    SetCounter,
)
from dvidsync_dagster.datatypes.labelmap.server.counter import LabelCounter
from dvidsync_dagster.datatypes.labelmap.server.counters import Counters
from dvidsync_dagster.datatypes.labelmap.server.late import changed_since
from dvidsync_dagster.datatypes.labelmap.server.others import CountedLabelmap, Others
from dvidsync_dagster.datatypes.labelmap.server.overtaken import is_past
from dvidsync_dagster.datatypes.labelmap.server.presence import BodyPresence, Seen, find_presence
from dvidsync_dagster.datatypes.labelmap.server.repeating import combined, command_of
from dvidsync_dagster.datatypes.labelmap.server.rest import merge_seconds
from dvidsync_dagster.datatypes.labelmap.server.seen import Contact, first_contact, is_present, look
from dvidsync_dagster.datatypes.labelmap.server.untouched import Untouched
from dvidsync_dagster.datatypes.labelmap.server.writer import LabelmapWriter
from dvidsync_dagster.datatypes.server_side import Presence, Servers, ServerSide, Unit, single
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.repo import read_repo_info
from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.log.checkpoint import NOT_MET, Checkpoint, Contacted
from dvidsync_dagster.log.conflicts import ConflictRow
from dvidsync_dagster.plan.order import Ordering
from dvidsync_dagster.plan.outcome import Outcome, refused

SHORT_SECONDS = 2.0
"""What a run that died asked for is done after this time, save where bodies are large."""

_PROBES = 12
_COUNTER_COMMANDS = (PassIds, SetCounter, RaiseHighest)


@dataclass
class _Opening:
    """Whether a version of a labelmap has been changed in this run."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    done: bool = False


class LabelmapSide(ServerSide):
    """All labelmaps of a destination."""

    def __init__(self, servers: Servers) -> None:
        super().__init__(servers)
        self.contact = Contact(0)
        self.others = Others(self._next_mutation_id)
        self._untouched: dict[str, Untouched] = {}
        self.counters = Counters(servers, self._new_writer)
        self._openings: dict[tuple[str, str], _Opening] = {}
        self._may_be_busy = False
        self._met = NOT_MET

    # Planning

    def units(self, events: Sequence[Event]) -> list[Unit]:
        """A unit for each."""
        own = sorted(
            (event for event in events if isinstance(event, LabelEvent)), key=lambda event: event.origin
        )
        made = claims_of(own, self.counter_state)
        return [Unit((event,), claim) for event, claim in zip(own, made, strict=True)]

    def counter_state(self, instance: str) -> CounterState:
        """How the destination's counter stands."""
        return self.counters.state(instance)

    def joins(self, unit: Unit, open_groups: Sequence[Sequence[Unit]]) -> Sequence[int]:
        """Only merges are combined."""
        (event,) = unit.events
        if not isinstance(event, Merge):
            return ()
        groups = [[each.events[0] for each in group] for group in open_groups]
        return combining.joins(event, groups, self.servers.history)

    def command(self, units: Sequence[Unit]) -> Step:
        events = tuple(unit.events[0] for unit in units)
        if len(events) > 1:
            merges = [event for event in events if isinstance(event, Merge)]
            return Step(combined(merges), events, events)
        (event,) = events
        assert isinstance(event, LabelEvent)
        return single(command_of(event), event)

    # What the destination has

    def meet(self, checkpoint: Checkpoint | None) -> None:
        known = checkpoint.contacted if checkpoint is not None else NOT_MET
        if not known.next_mutation_id:
            known = first_contact(self.servers)
        self.contact = Contact(known.next_mutation_id, checkpoint.era if checkpoint else 0, known.started)
        self.others.meet(known.undisturbed)
        self._met = known

    def remembered(self) -> Contacted:
        return replace(self._met, undisturbed=self.others.undisturbed)

    def find_present(self, units: Sequence[Unit], ordering: Ordering) -> Presence:
        """By their bodies; torn ones are mended on the way."""
        events = [unit.events[0] for unit in units]
        seen = self._look(events)
        presence = find_presence(events, ordering, seen)
        if self._may_be_busy:
            self._may_be_busy = False
            presence = self._after_rest(events, ordering, presence, seen)
        for index in sorted(presence.fresh):
            event = events[index]
            if isinstance(event, BodyEvent):
                self.counters.writer(event.instance).mend_if_torn(event)
        return Presence(presence.present - self._left_out(events), presence.doubtful)

    def _left_out(self, events: Sequence[Event]) -> set[int]:
        """By index, what was left out, or depends on that: what looks like it is something else."""
        left_out = self.servers.left_out
        return {
            index
            for index, event in enumerate(events if left_out else ())
            if isinstance(event, BodyEvent)
            and (left_out.has(str(event.origin)) or self.untouched(event.instance).depends_on(event))
        }

    def _after_rest(
        self, events: Sequence[Event], ordering: Ordering, presence: BodyPresence, seen: Seen
    ) -> BodyPresence:
        """Look again once all is done that a run which died can have asked for."""
        seconds = merge_seconds(events, presence.present, seen, self._labelmap)
        if seconds <= SHORT_SECONDS:
            return presence
        self.servers.note(
            f"waited {seconds:.0f} s: what an interrupted run asked for can still be going on here, as the "
            f"bodies are large"
        )
        time.sleep(seconds)
        return find_presence(events, ordering, self._look(events))

    def _look(self, events: Sequence[Event]) -> Seen:
        seen = Seen({})
        labels = [event for event in events if isinstance(event, LabelEvent)]
        for instance in sorted({event.instance for event in labels}):
            own = [event for event in labels if event.instance == instance]
            seen |= look(own, self._labelmap(instance), self.servers.pool, self.contact)
        return seen

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
        self._openings.clear()

    # Carrying out

    def carry_out(self, step: Step, *, doubtful: bool) -> Outcome:
        command = step.command
        assert isinstance(command, LabelCommand)
        parts = max(1, len(step.answering))
        try:
            if isinstance(command, _COUNTER_COMMANDS):
                return self.counters.move(command)
            with self._opened(command) as opening:
                writer = self.counters.writer(command.instance)
                outcome = writer.carry_out(command, step.events, doubtful=doubtful)
                opening.done |= not outcome.refusals
                return outcome
        except RequestRefused as refusal:
            return refused(str(refusal), parts, refusal.reason)

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

    def touched(self, event: Event) -> Sequence[str]:
        return [str(label) for label in event.bodies] if isinstance(event, BodyEvent) else ()

    def recall(self, row: ConflictRow) -> None:
        keys = [body_key(row.instance, row.version, int(label)) for label in row.touched if int(label)]
        self.servers.left_out.add(keys, row.rank, row.where)

    def settled(self, events: Sequence[Event], *, left_out: bool) -> None:
        for event in events:
            self.untouched(event.instance).settled([event], left_out=left_out)

    def agrees(self, row: ConflictRow) -> bool:
        source, destination = Labelmap(self.servers.source, row.instance), self._labelmap(row.instance)
        labels = [label for label in map(int, row.touched) if label]
        return all(
            set(source.supervoxels(row.version, label) or ())
            == set(destination.supervoxels(row.version, label) or ())
            for label in labels
        )

    def may_overtake(self, step: Step, refused: Step) -> bool:
        """The source was already working on it while it did the one that is refused here."""
        ended = max(event.origin.key_ns for event in refused.events)
        return any(isinstance(event, BodyEvent) and 0 < event.started_ns < ended for event in step.events)

    def before_commit(self, version: str) -> None:
        self.counters.settle(version)

    def end_of_chunk(self, applied: Collection[Event], *, at_cut: bool, caught_up: bool) -> None:
        self.counters.touched(applied)
        if caught_up:
            self.counters.follow_source()
        if at_cut:
            self.counters.follow_highest()
        self.counters.settle()
        self.others.at_rest()

    @contextmanager
    def _opened(self, command: LabelCommand) -> Iterator[_Opening]:
        """The first change of a labelmap's version goes alone, after a read of the mapping.

        See docs/dvid.md, "The first change of a version". DVID reads a version's own log when the mapping is
        first asked for, and opens it when it is first written. Two requests that do either at once get "file
        already closed", or write into each other.
        """
        opening = self._openings.setdefault((command.instance, command.version), _Opening())
        if opening.done:
            yield opening
            return
        with opening.lock:
            if not opening.done:
                self._labelmap(command.instance).mapping(command.version, [1])
            yield opening

    def _labelmap(self, instance: str) -> Labelmap:
        return CountedLabelmap(self.servers.destination, self.servers.at_destination(instance), self.others)

    def _next_mutation_id(self) -> int:
        with self.servers.repo_lock:
            return read_repo_info(self.servers.destination, self.servers.root).next_mutation_id

    def untouched(self, instance: str) -> Untouched:
        """Tells which of an instance's bodies are as the source had them."""
        if instance not in self._untouched:
            made = Untouched(
                instance,
                self._labelmap(instance),
                lambda: self.contact,
                self.servers.left_out,
                self.servers.repo.ancestors,
                self.others,
            )
            self._untouched.setdefault(instance, made)
        return self._untouched[instance]

    def _shows(self, event: BodyEvent) -> bool:
        return is_present(event, self._labelmap(event.instance), self.servers.pool, self.contact)

    def _new_writer(self, instance: str, counter: LabelCounter) -> LabelmapWriter:
        return LabelmapWriter(
            Bodies(
                source=Labelmap(self.servers.source, instance),
                destination=self._labelmap(instance),
                counter=counter,
                untouched=self.untouched(instance),
                shows=self._shows,
                note=self.servers.note,
            )
        )
