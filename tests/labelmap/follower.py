"""A destination that is a model follows a log, with the product's own planner, counter and writer."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random
from typing import cast

from dvidsync_dagster.datatypes.commands import Step
from dvidsync_dagster.datatypes.decode import decode_records
from dvidsync_dagster.datatypes.labelmap.counter_rule import CounterState
from dvidsync_dagster.datatypes.labelmap.events import (
    BodyEvent,
    Cleave,
    LabelEvent,
    Merge,
    Renumber,
    SetNextLabel,
    Split,
)
from dvidsync_dagster.datatypes.labelmap.server.bodies import Bodies
from dvidsync_dagster.datatypes.labelmap.server.bulk_choice import BulkChoice
from dvidsync_dagster.datatypes.labelmap.server.commands import LabelCommand
from dvidsync_dagster.datatypes.labelmap.server.counter import LabelCounter
from dvidsync_dagster.datatypes.labelmap.server.presence import find_presence
from dvidsync_dagster.datatypes.labelmap.server.read_in_bulk import read_and_mend
from dvidsync_dagster.datatypes.labelmap.server.seen import Contact, is_present, look_at_bodies
from dvidsync_dagster.datatypes.labelmap.server.side import LabelmapSide
from dvidsync_dagster.datatypes.labelmap.server.writer import LabelmapWriter
from dvidsync_dagster.datatypes.labelmap.source_counter import SourceCounter
from dvidsync_dagster.datatypes.repo.commands import CommitVersion, MakeVersion
from dvidsync_dagster.datatypes.repo.side import RepoSide
from dvidsync_dagster.datatypes.server_side import Apply, History, Presence, Servers, Unit
from dvidsync_dagster.destinations.dvid_server.planner import Plan, Sides, make_plan
from dvidsync_dagster.destinations.protocol import Brought
from dvidsync_dagster.dvid.http import DvidClient
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.repo import Instance, RepoInfo
from dvidsync_dagster.events.batch import Batch
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.log.eras import EraClock
from dvidsync_dagster.log.record import Record
from dvidsync_dagster.plan.order import Ordering
from dvidsync_dagster.plan.outcome import Outcome, Refusal
from dvidsync_dagster.run.at_hand import AtHand
from tests.labelmap.crowd import ROOT, TOPICS
from tests.labelmap.model import CopysView, ModelLabelmap
from tests.labelmap.model import Killed as Killed
from tests.places import ALL_FAILED, UNJUDGED

PATIENCE = 10_000_000_000
POOL: Executor = ThreadPoolExecutor(1)
NO_CLIENT = cast(DvidClient, None)
"""Nothing is asked over HTTP."""


@dataclass
class Chosen:
    """In bulk goes what is in an open version, if that is how operations are brought."""

    apply: Apply
    model: ModelLabelmap

    def of(self, events: Sequence[LabelEvent]) -> list[bool]:
        in_turn = any(isinstance(event, SetNextLabel | Split) for event in events)
        return [
            self.apply == "state"
            and not in_turn
            and isinstance(event, Merge | Cleave | Renumber)
            and self._is_open(event)
            for event in events
        ]

    def _is_open(self, event: BodyEvent) -> bool:
        node = self.model.versions.get(event.version)
        return node is None or not node.locked


class ModelSide(LabelmapSide):
    """The product's own, with a model in place of a server."""

    def __init__(self, servers: Servers, source: ModelLabelmap, model: ModelLabelmap, root: str) -> None:
        super().__init__(servers)
        self.view = cast(Labelmap, CopysView(model))
        self._in_bulk = cast(BulkChoice, Chosen(servers.apply, model))
        source_view = cast(Labelmap, CopysView(source))
        self.counter = LabelCounter(
            self.view,
            SourceCounter(source_view, root),
            CounterState(self.view.next_label(root), self.view.next_label_was_set(root)),
            servers.note,
            shared=servers.shares_ids,
        )
        self.writer = LabelmapWriter(
            Bodies(
                source=source_view,
                destination=self.view,
                counter=self.counter,
                shows=lambda event: is_present(event, self.view, POOL, self.contact),
                note=servers.note,
                pool=POOL,
                changes=lambda: model.mutation_id,
            )
        )

    def counter_state(self, instance: str) -> CounterState:
        return self.counter.state

    def find_present(self, units: Sequence[Unit], ordering: Ordering, left_out: Collection[int]) -> Presence:
        self._looked = True
        events = [unit.events[0] for unit in units]
        labels = [event for event in events if isinstance(event, LabelEvent)]
        if self.servers.apply != "replay":
            read_and_mend(self.view, labels)
        found = find_presence(events, ordering, look_at_bodies(labels, self.view, POOL, self.contact))
        return Presence(found.present, found.doubtful)


@dataclass
class Follower:
    """One run. `kill_after` steps it is killed. With `shares_ids` people practise at the destination."""

    source: ModelLabelmap
    destination: ModelLabelmap
    contact: Contact
    random: Random
    kill_after: int | None = None
    history: History = "by_user"
    apply_as: Apply = "replay"
    topics: Mapping[str, Instance | None] = field(default_factory=lambda: TOPICS)
    root: str = ROOT
    shares_ids: bool = False
    plans: list[Plan] = field(default_factory=list)
    refusals: list[tuple[Event, Refusal]] = field(default_factory=list)
    applied: list[Event] = field(default_factory=list)
    sent: list[Event] = field(default_factory=list)
    there: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        servers = Servers(
            source=NO_CLIENT,
            destination=NO_CLIENT,
            root=self.root,
            repo=RepoInfo(self.root, {}, {}, 0),
            counters={},
            followed=lambda _: True,
            skips=True,
            history=self.history,
            pool=POOL,
            note=lambda _: None,
            shares_ids=self.shares_ids,
            apply=self.apply_as,
        )
        self.labels = ModelSide(servers, self.source, self.destination, self.root)
        self.labels.contact = self.contact
        self.counter = self.labels.counter
        self.sides: Sides = {"labelmap": self.labels, "repo": RepoSide(servers, ())}

    # What a log says

    def at_hand(self, records: Sequence[Record]) -> AtHand:
        at_hand = AtHand(ALL_FAILED)
        decoded = decode_records(records, self.topics, {}, EraClock(), UNJUDGED)
        at_hand.take_in(decoded, [], ended_before=2**63)
        return at_hand

    def read(self, records: Sequence[Record]) -> list[Event]:
        return self.at_hand(records).events()

    def presence(self, records: Sequence[Record]) -> tuple[list[Event], set[Hashable]]:
        """What is there, and what may be half done."""
        plan = make_plan(Batch(self.read(records)), self.sides, looking=True)
        doubtful = (plan.steps[index] for index in plan.doubtful)
        return plan.present, {event.identity for step in doubtful for event in step.events}

    # A run

    def follow(self, chunks: Sequence[Sequence[Record]], *, looking: bool, quiet: bool = True) -> None:
        at_hand = AtHand(ALL_FAILED)
        eras = EraClock()
        for number, records in enumerate(chunks):
            last = number == len(chunks) - 1
            decoded = decode_records(records, self.topics, {}, eras, UNJUDGED)
            assert not decoded.undecodable, decoded.undecodable
            horizon = max((record.origin.key_ns for record in records), default=0)
            later = [record for chunk in chunks[number + 1 :] for record in chunk]
            ahead = decode_records(later, self.topics, {}, EraClock(), UNJUDGED)
            at_hand.take_in(
                decoded,
                ahead.announcements,
                ended_before=2**63 if last else horizon - PATIENCE,
                counters={"segmentation": self.source.following},
            )
            plan = make_plan(Batch(at_hand.events(), at_hand.awaited()), self.sides, looking=looking)
            self.plans.append(plan)
            self.there += plan.present
            self.apply(plan)
            self.applied += plan.applied
            version = self.open_version()
            brought = Brought(applied=plan.applied, held=plan.held)
            if last and quiet and not at_hand.unapplied(brought):
                if version is None:
                    self.counter.burned(self.source.following - 1, "")
                else:
                    self.counter.end_at([version], self.source.following)
            elif version is not None and self.counter.is_behind:
                self.counter.settle(version)
            at_hand.next_chunk(brought)

    def open_version(self) -> str | None:
        """None where everything is committed: then ids cannot be reserved yet."""
        there = self.destination.versions
        return next((uuid for uuid in self.source.versions if uuid in there and not there[uuid].locked), None)

    def apply(self, plan: Plan) -> None:
        for index in any_order(plan.steps, self.random):
            step = plan.steps[index]
            if self.kill_after == 0:
                raise Killed
            if self.kill_after is not None:
                self.kill_after -= 1
            outcome = self.do(step, doubtful=index in plan.doubtful)
            self.refusals += [(step.answering[refusal.part], refusal) for refusal in outcome.refusals]
            self.sent += step.events

    def do(self, step: Step, *, doubtful: bool) -> Outcome:
        command = step.command
        if isinstance(command, LabelCommand):
            return self.labels.writer.carry_out(command, step.events, doubtful=doubtful)
        if isinstance(command, MakeVersion):
            if command.child not in self.destination.versions:
                assert self.destination.versions[command.version].locked
                self.destination.new_version(command.version, command.child)
        elif isinstance(command, CommitVersion):
            with self.counter.lock:
                if self.counter.is_behind and not self.destination.versions[command.version].locked:
                    self.counter.settle(command.version)
            self.destination.versions[command.version].locked = True
        else:
            raise TypeError(f"not in this model: {command}")
        return Outcome()


def any_order(steps: Sequence[Step], random: Random) -> Iterator[int]:
    """One of the orders that `waits_for` allows."""
    missing = [len(step.waits_for) for step in steps]
    ready = [index for index, count in enumerate(missing) if not count]
    followers: list[list[int]] = [[] for _ in steps]
    for index, step in enumerate(steps):
        for before in step.waits_for:
            followers[before].append(index)
    count = 0
    while ready:
        index = ready.pop(random.randrange(len(ready)))
        count += 1
        yield index
        for later in followers[index]:
            missing[later] -= 1
            if not missing[later]:
                ready.append(later)
    assert count == len(steps), "steps wait for each other in a circle"


def cut(log: Sequence[Record], random: Random, pieces: int) -> list[list[Record]]:
    """The log in order of its keys, in chunks."""
    ordered = sorted(log, key=lambda record: record.origin)
    places = sorted(random.randrange(len(ordered) + 1) for _ in range(pieces - 1))
    return [ordered[start:end] for start, end in zip([0, *places], [*places, len(ordered)], strict=True)]
