"""What a run holds of the log at a time, and the plan for it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from dvidsync_dagster.datatypes.copied import DataEvent, Operation
from dvidsync_dagster.datatypes.decode import Decoded
from dvidsync_dagster.datatypes.labelmap.counter_rule import CounterState, left_by
from dvidsync_dagster.datatypes.labelmap.events import (
    Announcement,
    BodyEvent,
    CounterEvent,
    LabelEvent,
    Merge,
    SetNextLabel,
)
from dvidsync_dagster.datatypes.labelmap.gather import AskFates, Gathered, Identity, gather, identity
from dvidsync_dagster.datatypes.labelmap.server import claims as label_claims
from dvidsync_dagster.datatypes.labelmap.server import combining
from dvidsync_dagster.datatypes.labelmap.server.combining import History
from dvidsync_dagster.datatypes.labelmap.server.presence import Presence
from dvidsync_dagster.datatypes.registry import DATA_TYPES, Event
from dvidsync_dagster.datatypes.repo import writer as repo_ops
from dvidsync_dagster.datatypes.repo.writer import Commit, NewInstance, NewVersion, RepoEvent
from dvidsync_dagster.events.origin import Origin
from dvidsync_dagster.plan.claims import Claim
from dvidsync_dagster.plan.order import Ordering, order
from dvidsync_dagster.plan.steps import Step, build_steps

_REMEMBERED_CHUNKS = 3


class Target(Protocol):
    """What planning asks of a destination."""

    def counter_state(self, instance: str) -> CounterState: ...

    def find_present(self, events: Sequence[Event], ordering: Ordering) -> Presence: ...


@dataclass
class Plan:
    """A batch as a graph of steps.

    Args:
        steps: to apply.
        applied: events that are done once the steps are, those that were there already included.
        there: of these, the ones that were there.
        held: events that must wait for the next chunk or run.
        doubtful: operations that may be half done.
    """

    steps: list[Step[Event]]
    applied: list[Event]
    there: list[Event]
    held: list[Event]
    doubtful: frozenset[Identity]

    @property
    def bodies(self) -> list[BodyEvent]:
        return [event for event in self.applied if isinstance(event, BodyEvent)]

    @property
    def missing(self) -> bool:
        """True if an operation on bodies was not there yet."""
        return any(isinstance(step.request, BodyEvent) for step in self.steps)


@dataclass
class Batch:
    """The events at hand: of the chunk, and those that earlier chunks could not apply yet.

    Args:
        again: they were read before. To set a label counter once more would take back what it gave since.
    """

    labels: list[Announcement | CounterEvent] = field(default_factory=list)
    repo: list[RepoEvent] = field(default_factory=list)
    data: list[DataEvent] = field(default_factory=list)
    again: bool = False
    gathered: Gathered = field(default_factory=Gathered)
    duplicates: int = 0
    not_followed: Counter[str] = field(default_factory=Counter)
    unknown_actions: Counter[str] = field(default_factory=Counter)
    postponed: set[Identity] = field(default_factory=set)
    """Operations that were refused, and perhaps come before something that is late: they wait too."""
    _applied_before: deque[frozenset[Identity]] = field(
        default_factory=lambda: deque(maxlen=_REMEMBERED_CHUNKS)
    )
    _unheard: set[Identity] = field(default_factory=set)
    _versions: frozenset[str] | None = None

    def take_in(
        self,
        decoded: Decoded,
        ahead: Decoded,
        *,
        ended_before: int,
        ask: AskFates,
        versions: frozenset[str] | None,
        waiting: Collection[str] = (),
        next_labels: Mapping[str, int] | None = None,
    ) -> None:
        """Add a chunk.

        Args:
            ahead: what has been read past the chunk: it tells which starts will still complete, and who took
                an id before they could say so.
            ended_before, ask: what becomes of a start without a completion, see `gather`.
            versions: the selected ones; None for all.
            waiting: instances in which something waits behind a record that cannot be decoded.
            next_labels: the source's label counters, by instance.
        """
        self._versions = versions
        self.labels += decoded.labels
        self.labels.sort(key=_origin)
        self.repo = _without_twins([*self.repo, *decoded.repo])
        self.data = sorted([*self.data, *decoded.data], key=lambda event: event.origin)
        self.not_followed, self.unknown_actions = decoded.not_followed, decoded.unknown_actions
        if decoded.refused:
            self.not_followed["versions that the source refused to make"] += decoded.refused
        self.gathered = gather(
            self.labels,
            ahead=ahead.labels,
            applied_before={*self._unheard, *(name for names in self._applied_before for name in names)},
            ended_before=ended_before,
            ask=ask,
            waiting=waiting,
            next_labels=next_labels or {},
        )
        self._unheard.update(map(identity, self.gathered.unheard))
        self.duplicates = self.gathered.duplicates

    def events(self) -> list[Event]:
        """What happened, as far as it is selected. Operations in other versions leave the ids they took."""
        chosen: list[Event] = []
        for event in self.gathered.done:
            if self.again and isinstance(event, SetNextLabel):
                continue
            if self._selected(event.version):
                chosen.append(event)
            elif (rest := left_by(event)) is not None:
                chosen.append(rest)
        for change in self.repo:
            version = change.child if isinstance(change, NewVersion) else change.version
            if self._selected(version):
                chosen.append(change)
        return chosen

    def operations(self) -> list[Operation]:
        """What to copy for the events of the other data types."""
        groups: dict[tuple[str, str, str], list[DataEvent]] = {}
        for event in self.data:
            if self._selected(event.version):
                group = (event.typename, event.instance, event.version)
                groups.setdefault(group, []).append(event)
        return [
            operation
            for (typename, _, _), own in groups.items()
            for operation in DATA_TYPES[typename].operations(own)
        ]

    def awaited(self) -> list[Event]:
        """What has not happened yet, as far as can be told, and comes before some that has."""
        return [
            chosen
            for event in (*self.gathered.pending, *self.gathered.to_come)
            if (chosen := event if self._selected(event.version) else left_by(event)) is not None
        ]

    def unapplied(self, plan: Plan) -> list[Origin]:
        """The records that were read and are not applied by the plan."""
        return [event.origin for event in (*plan.held, *self.gathered.pending)]

    def next_chunk(self, plan: Plan) -> None:
        """Forget what is applied; keep what had to wait."""
        self._applied_before.append(frozenset(identity(event) for event in plan.bodies))
        self.labels = [Announcement(start, False) for start in self.gathered.pending]
        self.repo = []
        self.data = []
        for event in plan.held:
            if isinstance(event, BodyEvent):
                self.labels.append(Announcement(event, True))
            elif isinstance(event, RepoEvent):
                self.repo.append(event)
            elif isinstance(event, DataEvent):
                self.data.append(event)
            elif isinstance(event, CounterEvent):
                self.labels.append(event)

    def _selected(self, version: str) -> bool:
        return self._versions is None or version in self._versions


def make_plan(batch: Batch, target: Target, *, looking: bool, history: History = "by_user") -> Plan:
    """Order the batch, leave out what must wait and (looking) what the destination has, and combine merges as
    far as the destination's history allows."""
    awaited = batch.awaited()
    events: list[Event] = [*batch.events(), *batch.operations(), *awaited]
    claims = _claims(events, target)
    ordering = order(claims)
    first_awaited = len(events) - len(awaited)
    postponed = (
        index
        for index, event in enumerate(events)
        if isinstance(event, BodyEvent) and identity(event) in batch.postponed
    )
    held = ordering.with_followers([*range(first_awaited, len(events)), *postponed])
    presence = target.find_present(events, ordering) if looking else Presence()
    # What waits is not there: its predecessor still runs at the source.
    there = presence.there - held
    steps = build_steps(events, claims, ordering, leave_out=held | there, combiner=_Combiner(history))
    return Plan(
        steps=_before_labels([_with_members(step) for step in steps]),
        applied=_members(m for index, m in enumerate(events) if index not in held),
        there=[events[index] for index in sorted(there)],
        held=_members(events[index] for index in sorted(held) if index < first_awaited),
        doubtful=frozenset(
            identity(event)
            for event in (events[index] for index in presence.doubtful)
            if isinstance(event, BodyEvent)
        ),
    )


def _claims(events: Sequence[Event], target: Target) -> list[Claim]:
    """The claims of all events. Those of one labelmap are made together: its counter ties them."""
    claims: list[Claim | None] = [None] * len(events)
    by_instance: dict[str, list[int]] = {}
    for index, event in enumerate(events):
        if isinstance(event, LabelEvent):
            by_instance.setdefault(event.instance, []).append(index)
        elif isinstance(event, Operation):
            claims[index] = event.claim
        elif isinstance(event, NewInstance):
            # One after the other, as they can be synced to each other, and while the version takes settings.
            claims[index] = replace(
                repo_ops.claim(event), keys=(("instances",),), inside=("version", event.version)
            )
        elif isinstance(event, RepoEvent):
            claims[index] = repo_ops.claim(event)
    for instance, indexes in by_instance.items():
        indexes.sort(key=lambda index: events[index].origin)
        own = [event for event in (events[index] for index in indexes) if isinstance(event, LabelEvent)]
        for index, claim in zip(
            indexes, label_claims.claims(own, target.counter_state(instance)), strict=True
        ):
            claims[index] = claim
    return [claim for claim in claims if claim is not None]


def _members(events: Iterable[Event]) -> list[Event]:
    """The events, with those that an operation stands for in its place."""
    return [
        member for event in events for member in (event.members if isinstance(event, Operation) else (event,))
    ]


def _with_members(step: Step[Event]) -> Step[Event]:
    if isinstance(step.request, Operation):
        return replace(step, members=step.request.members)
    return step


def _before_labels(steps: list[Step[Event]]) -> list[Step[Event]]:
    """Changes of a labelmap wait for the operations that come before them."""
    waits_for = [set(step.waits_for) for step in steps]
    changes: dict[tuple[str, str], list[int]] = {}
    for index, step in enumerate(steps):
        if isinstance(step.request, BodyEvent):
            changes.setdefault((step.request.instance, step.request.version), []).append(index)
    for index, step in enumerate(steps):
        if isinstance(step.request, Operation):
            earlier = _waited_for(steps, index)
            for labelmap in step.request.before:
                for change in changes.get((labelmap, step.request.version), ()):
                    if change not in earlier:
                        waits_for[change].add(index)
    return [
        replace(step, waits_for=tuple(sorted(before))) for step, before in zip(steps, waits_for, strict=True)
    ]


def _waited_for(steps: Sequence[Step[Event]], index: int) -> set[int]:
    """Everything that a step waits for, directly or not."""
    found: set[int] = set()
    waiting = [index]
    while waiting:
        for before in steps[waiting.pop()].waits_for:
            if before not in found:
                found.add(before)
                waiting.append(before)
    return found


@dataclass(frozen=True, slots=True)
class _Combiner:
    """Only merges combine."""

    history: History

    def joins(self, event: Event, open_steps: Sequence[Sequence[Event]]) -> Sequence[int]:
        return combining.joins(event, open_steps, self.history) if isinstance(event, Merge) else ()

    def combined(self, members: Sequence[Event]) -> Event:
        return combining.combined([member for member in members if isinstance(member, Merge)])


def _origin(item: Announcement | CounterEvent) -> Origin:
    return item.event.origin if isinstance(item, Announcement) else item.origin


def _without_twins(changes: Sequence[RepoEvent]) -> list[RepoEvent]:
    """In log order, each version made and committed once: two commits that raced can both be announced."""
    kept: list[RepoEvent] = []
    made: set[object] = set()
    for change in sorted(changes, key=lambda change: change.origin):
        name: object = change.origin
        if isinstance(change, NewVersion):
            name = ("made", change.child)
        elif isinstance(change, Commit):
            name = ("committed", change.version)
        if name not in made:
            made.add(name)
            kept.append(change)
    return kept
