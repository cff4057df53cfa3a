"""The labelmaps of a destination: a writer for each, and its label counter, which all versions share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor

from dvidsync_dagster.datatypes.labelmap.apply import LabelmapWriter
from dvidsync_dagster.datatypes.labelmap.counter import LabelCounter
from dvidsync_dagster.datatypes.labelmap.counter_rule import CounterState, Ids, PickedBy
from dvidsync_dagster.datatypes.labelmap.events import BodyEvent, LabelEvent
from dvidsync_dagster.datatypes.labelmap.look import Contact, is_there
from dvidsync_dagster.datatypes.labelmap.overtaken import is_past
from dvidsync_dagster.datatypes.labelmap.source_counter import SourceCounter
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.repo import read_repo_info
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.errors import RequestRefused

_EMPTY = CounterState(next_label=1, was_set=False)
"""How the counter of an instance stands that was just made."""


class Labelmaps:
    """Asked by the threads that apply steps.

    Args:
        source, client: the two servers.
        root: the repo on both.
        looks: threads for looking at bodies.
        contact: how the destination was found when it was first met.
        next_labels: the source's label counters, by instance, as they were read at the start of the run.
        goes_on: refused operations are left out; if not, they end the run.
        note: says something once per run.
    """

    def __init__(
        self,
        source: Transport,
        client: Transport,
        root: str,
        *,
        looks: Executor,
        contact: Callable[[], Contact],
        next_labels: Mapping[str, int],
        goes_on: bool,
        note: Callable[[str], None],
    ) -> None:
        self._source = source
        self._client = client
        self._root = root
        self._looks = looks
        self._contact = contact
        self._next_labels = next_labels
        self._goes_on = goes_on
        self._note = note
        self._lock = threading.Lock()
        self._writers: dict[str, LabelmapWriter] = {}
        self._touched: set[tuple[str, str]] = set()

    def forget(self) -> None:
        """What the counters said before is no longer true."""
        with self._lock:
            self._writers.clear()

    def here(self, instance: str) -> Labelmap:
        return Labelmap(self._client, instance)

    def writer(self, instance: str) -> LabelmapWriter:
        """Raises RequestRefused if the destination has no such instance."""
        with self._lock:
            if instance not in self._writers:
                self._writers[instance] = self._new_writer(instance)
            return self._writers[instance]

    def counter_state(self, instance: str) -> CounterState:
        """The label counter as it stands, for planning: the log may yet make the instance."""
        if not self._has(instance):
            return _EMPTY
        return self.writer(instance).counter.state

    def is_there(self, event: BodyEvent) -> bool:
        return is_there(event, self.here(event.instance), self._looks, self._contact())

    def is_past(self, events: Sequence[BodyEvent], applied: tuple[int, int]) -> bool:
        """Whether what these operations touch was changed by one past `applied`, an era and mutation id."""
        by_instance: dict[str, list[BodyEvent]] = {}
        for event in events:
            by_instance.setdefault(event.instance, []).append(event)
        return any(is_past(own, self.here(name), applied) for name, own in by_instance.items())

    # Counters

    def settle(self, before_commit: str | None = None) -> None:
        """Reserve the ids that the source has burned, in the version where it did, or in another open one.

        Args:
            before_commit: a version that is about to be committed. What can be reserved in another one later
                is left alone: it would raise this one's highest label.
        """
        behind = [writer.counter for writer in list(self._writers.values()) if writer.counter.is_behind]
        versions = self._open_versions() if behind else []
        for counter in behind:
            with counter.lock:
                others = [version for version in versions if version != before_commit]
                best = [version for version in versions if version == counter.burned_in]
                where = next(iter([*best, *others[-1:], *versions]), None)
                if before_commit is not None and where != before_commit:
                    continue
                if where is None:
                    self._note(
                        f"{counter.instance}: every version is committed, so labels that the source has used "
                        f"cannot be reserved here yet"
                    )
                else:
                    counter.settle(where)

    def follow_counter(self, instance: str, next_label: int) -> None:
        """All that the source did is done: bring the counter to where the source's is, even if no message
        told of the ids that are gone."""
        if not self._has(instance):
            return
        counter = self.writer(instance).counter
        versions = self._open_versions()
        with counter.lock:
            if versions:
                counter.end_at(versions, next_label)
            else:
                counter.burned(next_label - 1, "")

    def touched(self, events: Iterable[object]) -> None:
        """Remember in which versions something was done."""
        self._touched.update(
            (event.instance, event.version)
            for event in events
            if isinstance(event, LabelEvent) and event.version
        )

    def follow_max_labels(self) -> None:
        """Raise the highest labels of the versions that were touched to the source's, as an administrator.

        What is applied raises them anyway, save where ids were reserved in another version.
        """
        if not self._client.has_admin_token:
            return

        def follow(where: tuple[str, str]) -> None:
            instance, version = where
            try:
                there = self.here(instance).max_label(version)
                wanted = Labelmap(self._source, instance).max_label(version)
                counter = self.writer(instance).counter
                with counter.lock:
                    if Ids(wanted, wanted, PickedBy.REQUEST).move(counter.state):
                        wanted = counter.next_label - 1
                    if there < wanted:
                        self._raise_max_label(instance, version, wanted)
            except RequestRefused:
                # A version that is not followed.
                return

        list(self._looks.map(follow, sorted(self._touched)))
        self._touched.clear()

    def _raise_max_label(self, instance: str, version: str, label: int) -> None:
        try:
            self.here(instance).raise_max_label(version, label)
        except RequestRefused as refusal:
            # Too high a label for the server.
            self._note(f"{instance}: its maxlabel in {version} cannot be raised: {refusal.text}")

    def _has(self, instance: str) -> bool:
        return instance in self._writers or instance in read_repo_info(self._client, self._root).instances

    def _open_versions(self) -> list[str]:
        """The latest comes last."""
        info = read_repo_info(self._client, self._root)
        found = [version for version in info.versions.values() if not version.locked]
        return [version.uuid for version in sorted(found, key=lambda version: version.number)]

    def _new_writer(self, instance: str) -> LabelmapWriter:
        source, labelmap = Labelmap(self._source, instance), self.here(instance)
        own = SourceCounter(source, self._root, next_label=self._next_labels.get(instance))
        state = CounterState(labelmap.next_label(self._root), labelmap.next_label_was_set(self._root))
        return LabelmapWriter(
            source=source,
            destination=labelmap,
            counter=LabelCounter(labelmap, own, state, self._note),
            is_there=self.is_there,
            goes_on=self._goes_on,
            note=self._note,
        )
