"""A copy that is a model follows a log, with the product's own batch, plan, counter and writer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random
from typing import cast

from dvidsync_dagster.batch import Batch, Plan, make_plan
from dvidsync_dagster.datatypes.decode import decode_records
from dvidsync_dagster.datatypes.labelmap.apply import LabelmapWriter
from dvidsync_dagster.datatypes.labelmap.combining import History
from dvidsync_dagster.datatypes.labelmap.counter import LabelCounter
from dvidsync_dagster.datatypes.labelmap.counter_rule import CounterState
from dvidsync_dagster.datatypes.labelmap.events import BodyEvent, LabelEvent
from dvidsync_dagster.datatypes.labelmap.gather import Identity, identity
from dvidsync_dagster.datatypes.labelmap.look import Contact, is_there, look
from dvidsync_dagster.datatypes.labelmap.presence import Presence, find_presence
from dvidsync_dagster.datatypes.labelmap.source_counter import SourceCounter
from dvidsync_dagster.datatypes.registry import Event
from dvidsync_dagster.datatypes.versions import Commit, NewVersion
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.log.eras import EraClock
from dvidsync_dagster.log.record import Record
from dvidsync_dagster.plan.order import Ordering
from dvidsync_dagster.plan.outcome import Refusal
from dvidsync_dagster.plan.steps import Step
from tests.labelmap.crowd import ROOT, TOPICS
from tests.labelmap.model import CopysView, ModelLabelmap
from tests.places import UNJUDGED, all_failed

PATIENCE = 10_000_000_000
POOL: Executor = ThreadPoolExecutor(1)


class Killed(Exception):
    """The run ends here."""


@dataclass
class Follower:
    """One run. `kill_after` steps it is killed."""

    source: ModelLabelmap
    copy: ModelLabelmap
    contact: Contact
    random: Random
    kill_after: int | None = None
    history: History = "by_user"
    topics: Mapping[str, Instance | None] = field(default_factory=lambda: TOPICS)
    root: str = ROOT
    plans: list[Plan] = field(default_factory=list)
    refusals: list[tuple[object, Refusal]] = field(default_factory=list)
    applied: list[Event] = field(default_factory=list)
    sent: list[Event] = field(default_factory=list)
    there: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        view = cast(Labelmap, CopysView(self.copy))
        self.counter = LabelCounter(
            view,
            SourceCounter(cast(Labelmap, CopysView(self.source)), self.root),
            CounterState(view.next_label(self.root), view.next_label_was_set(self.root)),
            lambda _: None,
        )
        self.view = view
        self.writer = LabelmapWriter(
            source=cast(Labelmap, CopysView(self.source)),
            destination=view,
            counter=self.counter,
            is_there=lambda event: is_there(event, view, POOL, self.contact),
            goes_on=True,
            note=lambda _: None,
        )

    # What planning asks

    def counter_state(self, _instance: str) -> CounterState:
        return self.counter.state

    def find_present(self, events: Sequence[Event], ordering: Ordering) -> Presence:
        labels = [event for event in events if isinstance(event, LabelEvent)]
        return find_presence(events, ordering, look(labels, self.view, POOL, self.contact))

    # What a log says

    def batch(self, records: Sequence[Record]) -> Batch:
        batch = Batch()
        decoded = decode_records(records, self.topics, {}, EraClock(), UNJUDGED)
        batch.take_in(
            decoded,
            decode_records([], self.topics, {}, EraClock(), UNJUDGED),
            ended_before=2**63,
            ask=all_failed,
            versions=None,
        )
        return batch

    def read(self, records: Sequence[Record]) -> list[Event]:
        return self.batch(records).events()

    def presence(self, records: Sequence[Record]) -> tuple[list[Event], frozenset[Identity]]:
        plan = make_plan(self.batch(records), self, looking=True)
        return plan.there, plan.doubtful

    # A run

    def follow(self, chunks: Sequence[Sequence[Record]], *, looking: bool, quiet: bool = True) -> None:
        batch = Batch()
        eras = EraClock()
        for number, records in enumerate(chunks):
            last = number == len(chunks) - 1
            decoded = decode_records(records, self.topics, {}, eras, UNJUDGED)
            assert not decoded.undecodable, decoded.undecodable
            horizon = max((record.origin.key_ns for record in records), default=0)
            ahead = [record for chunk in chunks[number + 1 :] for record in chunk]
            batch.take_in(
                decoded,
                decode_records(ahead, self.topics, {}, EraClock(), UNJUDGED),
                ended_before=2**63 if last else horizon - PATIENCE,
                ask=all_failed,
                versions=None,
                next_labels={"segmentation": self.source.following},
            )
            plan = make_plan(batch, self, looking=looking, history=self.history)
            self.plans.append(plan)
            self.there += plan.there
            self.apply(plan)
            self.applied += plan.applied
            version = self.open_version()
            if last and quiet and not batch.unapplied(plan):
                if version is None:
                    self.counter.burned(self.source.following - 1, "")
                else:
                    self.counter.end_at([version], self.source.following)
            elif version is not None and self.counter.is_behind:
                self.counter.settle(version)
            batch.next_chunk(plan)

    def open_version(self) -> str | None:
        """None where everything is committed: then ids cannot be reserved yet."""
        return next((uuid for uuid, node in self.copy.versions.items() if not node.locked), None)

    def apply(self, plan: Plan) -> None:
        for index in any_order(plan.steps, self.random):
            step = plan.steps[index]
            if self.kill_after == 0:
                raise Killed
            if self.kill_after is not None:
                self.kill_after -= 1
            self.do(step, plan)
            self.sent += step.members

    def do(self, step: Step[Event], plan: Plan) -> None:
        request = step.request
        if isinstance(request, NewVersion):
            if request.child not in self.copy.versions:
                assert self.copy.versions[request.version].locked
                self.copy.new_version(request.version, request.child)
        elif isinstance(request, Commit):
            with self.counter.lock:
                if self.counter.is_behind and not self.copy.versions[request.version].locked:
                    self.counter.settle(request.version)
            self.copy.versions[request.version].locked = True
        elif isinstance(request, LabelEvent):
            unsure = isinstance(request, BodyEvent) and identity(request) in plan.doubtful
            outcome = self.writer.apply(request, step.members, doubtful=unsure)
            self.refusals += [(step.members[refusal.member], refusal) for refusal in outcome.refusals]
        else:
            raise TypeError(f"not in this model: {request}")


def any_order(steps: Sequence[Step[Event]], random: Random) -> Iterator[int]:
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
