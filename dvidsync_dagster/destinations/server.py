"""A DVID server as a destination: it looks at what is there and applies steps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import TracebackType

from dvidsync_dagster.datatypes.instances import InstanceWriter
from dvidsync_dagster.datatypes.labelmap.counter_rule import CounterState
from dvidsync_dagster.datatypes.labelmap.events import BodyEvent, LabelEvent
from dvidsync_dagster.datatypes.labelmap.gather import Identity, identity
from dvidsync_dagster.datatypes.labelmap.look import Contact, look
from dvidsync_dagster.datatypes.labelmap.presence import Presence, Seen, find_presence
from dvidsync_dagster.datatypes.operation import Operation, Writer
from dvidsync_dagster.datatypes.registry import DATA_TYPES, Event
from dvidsync_dagster.datatypes.versions import Commit, NewInstance, RepoEvent, VersionWriter
from dvidsync_dagster.destinations.flight import run_steps
from dvidsync_dagster.destinations.labelmaps import Labelmaps
from dvidsync_dagster.destinations.late import Timing, changed_since, explained, timing
from dvidsync_dagster.destinations.ownership import Ownership
from dvidsync_dagster.destinations.rest import merge_seconds, wait_for_rest
from dvidsync_dagster.dvid.repo import RepoInfo, read_repo_info
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.errors import RefusalReason, RequestRefused
from dvidsync_dagster.plan.order import Ordering
from dvidsync_dagster.plan.outcome import Outcome, Refusal
from dvidsync_dagster.plan.steps import Step

REST_SECONDS = 2.0


@dataclass
class _Opening:
    """Whether a version of a labelmap has been changed in this run."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    done: bool = False


class DvidDestination:
    """One repo at a destination server. A context manager: it holds threads and connections.

    Args:
        source, client: the two servers.
        root: the repo on both.
        requests_in_flight: how many requests may run at a time.
        contact: how the destination was found when it was first met, see `Contact`.
        next_labels: the source's label counters, by instance.
        repo: the source's, as discovered.
        goes_on: refused operations are left out; if not, they end the run.
        followed: whether an instance (by name) is one of those that are followed.
        still_owner: raises OwnershipLost if a newer run owns the destination; asked between requests.
        note: says something once per run.
    """

    def __init__(
        self,
        source: Transport,
        client: Transport,
        root: str,
        *,
        requests_in_flight: int,
        contact: Contact,
        next_labels: Mapping[str, int],
        repo: RepoInfo,
        goes_on: bool,
        followed: Callable[[str], bool],
        still_owner: Callable[[], None],
        note: Callable[[str], None],
    ) -> None:
        self.client = client
        self._source = source
        self._root = root
        self._in_flight = requests_in_flight
        self.reached = 0
        """The key (ns since 1970) up to which all that was read before is applied."""
        self._ownership = Ownership(still_owner)
        self._in_doubt = False
        self._note = note
        self.contact = contact
        self._data_writers: dict[str, Writer] = {}
        # DVID locks itself up for good when two requests change the repo at once.
        self._repo_lock = threading.Lock()
        self._repo = repo
        self._openings: dict[tuple[str, str], _Opening] = {}
        self._versions_there: frozenset[str] = frozenset()
        self._versions = VersionWriter(source, client, root)
        self._instances = InstanceWriter(repo, client, root, followed=followed, note=note)
        # Looks run inside a step, so they need threads that steps cannot occupy.
        self._pool = ThreadPoolExecutor(requests_in_flight, thread_name_prefix="apply")
        self._looks = ThreadPoolExecutor(max(4, requests_in_flight), thread_name_prefix="look")
        self.labelmaps = Labelmaps(
            source,
            client,
            root,
            looks=self._looks,
            contact=lambda: self.contact,
            next_labels=next_labels,
            goes_on=goes_on,
            note=note,
        )

    def __enter__(self) -> DvidDestination:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True)
        self._looks.shutdown(wait=True)

    # What is there

    def info(self) -> RepoInfo:
        return read_repo_info(self.client, self._root)

    def counter_state(self, instance: str) -> CounterState:
        """The label counter as it stands, for planning."""
        return self.labelmaps.counter_state(instance)

    def come_to_rest(self) -> None:
        """Wait until two looks some seconds apart agree: what a run that died asked for can go on."""
        wait_for_rest(self.client, self._root, REST_SECONDS)
        self._in_doubt = True
        self.labelmaps.forget()
        self._openings.clear()
        self._versions_there = frozenset()

    def find_present(self, events: Sequence[Event], ordering: Ordering) -> Presence:
        """Which of the events are there already; torn ones are mended on the way."""
        seen = self._look(events)
        presence = find_presence(events, ordering, seen)
        if self._in_doubt:
            self._in_doubt = False
            wait = merge_seconds(events, presence.there, seen, self.labelmaps.here)
            if wait > REST_SECONDS:
                self._note(
                    f"waited {wait:.0f} s: what an interrupted run asked for can still be going on here, as "
                    f"the bodies are large"
                )
                time.sleep(wait)
                presence = find_presence(events, ordering, self._look(events))
        for index in presence.fresh:
            event = events[index]
            if isinstance(event, BodyEvent):
                self.labelmaps.writer(event.instance).mend_if_torn(event)
        return presence

    def _look(self, events: Sequence[Event]) -> Seen:
        seen = Seen({})
        labels = [event for event in events if isinstance(event, LabelEvent)]
        for instance in sorted({event.instance for event in labels}):
            own = [event for event in labels if event.instance == instance]
            seen |= look(own, self.labelmaps.here(instance), self._looks, self.contact)
        return seen

    def has_any(self, events: Sequence[BodyEvent], applied: tuple[int, int]) -> bool:
        """Whether one of these is there already, or one past `applied` (era and mutation id): the sign of a
        run that got further than its checkpoint."""
        return any(map(self.labelmaps.is_there, events)) or self.labelmaps.is_past(events, applied)

    # Applying

    def apply(
        self,
        steps: Sequence[Step[Event]],
        *,
        doubtful: Collection[Identity],
        settled: Callable[[Step[Event], Outcome], None],
    ) -> None:
        """Apply a graph of steps.

        Args:
            doubtful: operations that may be half done.
            settled: told of each final outcome; what it raises ends the run once nothing is in flight.

        Raises:
            ServerError: the destination did not answer.
            OwnershipLost: a newer run has taken the destination over.
        """

        def do(index: int) -> Outcome:
            self._ownership.check()
            step = steps[index]
            request = step.request
            # A counter is the whole instance's: whoever moved it can be in a version that is not followed.
            if not isinstance(request, LabelEvent) or isinstance(request, BodyEvent):
                lacking = self._lacks(request.version)
                if lacking is not None:
                    return _all_refused(step, lacking)
            came = timing(step.members, self._repo, self.reached)
            if came is Timing.USUAL:
                return send(step)
            if came is Timing.LATE and isinstance(request, BodyEvent):
                changed = changed_since(request, self.labelmaps.here(request.instance), self.info())
                if changed is not None:
                    return _all_refused(step, changed)
            # DVID takes the token for a version that is open as well.
            with self.client.as_administrator():
                outcome = send(step)
            return outcome if self.client.has_admin_token else explained(outcome, came)

        def send(step: Step[Event]) -> Outcome:
            request = step.request
            if isinstance(request, BodyEvent):
                unsure = identity(request) in doubtful
                try:
                    with self._opened(request) as opening:
                        outcome = self.labelmaps.writer(request.instance).apply(
                            request, step.members, doubtful=unsure
                        )
                        opening.done |= not outcome.refusals
                        return outcome
                except RequestRefused as refusal:
                    return _all_refused(step, str(refusal), refusal.reason)
            if isinstance(request, LabelEvent):
                counted = request if request.version else replace(request, version=self._root)
                try:
                    return self.labelmaps.writer(request.instance).apply(counted)
                except RequestRefused as refusal:
                    return _all_refused(step, str(refusal), refusal.reason)
            if isinstance(request, Operation):
                return self._data_writer(request).apply(request)
            if isinstance(request, Commit):
                self.labelmaps.settle(request.version)
            with self._repo_lock:
                if isinstance(request, NewInstance):
                    return self._instances.apply(request)
                if isinstance(request, RepoEvent):
                    return self._versions.apply(request)
            raise TypeError(f"no request: {request!r}")

        run_steps(
            steps,
            do,
            pool=self._pool,
            in_flight=self._in_flight,
            put_off=lambda index: _overlapping(steps, index),
            settled=lambda index, outcome: settled(steps[index], outcome),
        )

    def _lacks(self, version: str) -> str | None:
        """Why nothing can be applied in a version; None if the destination has it."""
        if version not in self._versions_there:
            with self._repo_lock:
                self._versions_there = frozenset(self.info().versions)
        if version in self._versions_there:
            return None
        return f"version {version} is not there; `dvidsync repair` makes it, with all that belongs to it"

    @contextmanager
    def _opened(self, request: BodyEvent) -> Iterator[_Opening]:
        """The first change of a labelmap's version goes alone, after a read of the mapping.

        DVID reads a version's own log when the mapping is first asked for, and opens it when it is first
        written. Two requests that do either at once get "file already closed", or write into each other.
        """
        opening = self._openings.setdefault((request.instance, request.version), _Opening())
        if opening.done:
            yield opening
            return
        with opening.lock:
            if not opening.done:
                self.labelmaps.here(request.instance).mapping(request.version, [1])
            yield opening

    def _data_writer(self, operation: Operation) -> Writer:
        name = operation.instance
        if name not in self._data_writers:
            make = DATA_TYPES[operation.typename].writer
            self._data_writers.setdefault(name, make(self._source, self.client, name, self._repo.instances))
        return self._data_writers[name]


def _all_refused(step: Step[Event], found: str, reason: RefusalReason = RefusalReason.OTHER) -> Outcome:
    return Outcome(refusals=tuple(Refusal(member, found, reason) for member in range(len(step.members))))


def _overlapping(steps: Sequence[Step[Event]], index: int) -> set[int]:
    """The steps after a refused one that the source was already working on while it did this one: there they
    may have come first."""
    ended = max(member.origin.key_ns for member in steps[index].members)
    return {
        later
        for later, step in enumerate(steps)
        if index in step.waits_for
        and any(isinstance(member, BodyEvent) and 0 < member.started_ns < ended for member in step.members)
    }
