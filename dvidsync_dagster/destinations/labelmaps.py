"""The labelmaps of a destination: a writer for each, and its label counter, which all versions share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor

from dvidsync_dagster.datatypes.labelmap.apply import LabelmapWriter
from dvidsync_dagster.datatypes.labelmap.claims import CounterState
from dvidsync_dagster.datatypes.labelmap.counter import LabelCounter
from dvidsync_dagster.datatypes.labelmap.look import Contact, is_there
from dvidsync_dagster.datatypes.labelmap.messages import BodyMutation
from dvidsync_dagster.dvid.client import DvidClient
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.repo import read_repo_info

_EMPTY = CounterState(next_label=1, was_set=False)
"""How the counter of an instance stands that was just made."""


class Labelmaps:
    """Asked by the threads that apply steps.

    Args:
        source, client: the two servers.
        root: the repo on both.
        looks: threads for looking at bodies.
        contact: how the destination was found when it was first met.
        goes_on: refused operations are left out; if not, they end the run.
        note: says something once per run.
    """

    def __init__(
        self,
        source: DvidClient,
        client: DvidClient,
        root: str,
        *,
        looks: Executor,
        contact: Callable[[], Contact],
        goes_on: bool,
        note: Callable[[str], None],
    ) -> None:
        self._source = source
        self._client = client
        self._root = root
        self._looks = looks
        self._contact = contact
        self._goes_on = goes_on
        self._note = note
        self._lock = threading.Lock()
        self._writers: dict[str, LabelmapWriter] = {}

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
        counter = self.writer(instance).counter
        return CounterState(counter.next_label, counter.was_set)

    def is_there(self, mutation: BodyMutation) -> bool:
        return is_there(mutation, self.here(mutation.instance), self._looks, self._contact())

    # Counters

    def settle(self, version: str | None = None) -> None:
        """Reserve the ids that the source has burned, in an open version (any, if none is named)."""
        for writer in list(self._writers.values()):
            with writer.counter.lock:
                if not writer.counter.is_behind:
                    continue
                where = version or self._open_version()
                if where is None:
                    self._note(
                        f"{writer.destination.name}: every version is committed, so ids that failed "
                        f"operations burned at the source cannot be reserved here yet"
                    )
                    continue
                writer.counter.settle(where)

    def follow_counter(self, instance: str, next_label: int) -> None:
        """All that the source did is done: bring the counter to where the source's is, even if no message
        told of the ids that are gone."""
        if not self._has(instance):
            return
        counter = self.writer(instance).counter
        version = self._open_version()
        with counter.lock:
            if version is None:
                counter.burned(next_label - 1)
            else:
                counter.end_at(version, next_label)

    def _has(self, instance: str) -> bool:
        return instance in self._writers or instance in read_repo_info(self._client, self._root).instances

    def _open_version(self) -> str | None:
        info = read_repo_info(self._client, self._root)
        versions = [version for version in info.versions.values() if not version.locked]
        return max(versions, key=lambda version: version.number).uuid if versions else None

    def _new_writer(self, instance: str) -> LabelmapWriter:
        labelmap = self.here(instance)
        return LabelmapWriter(
            source=Labelmap(self._source, instance),
            destination=labelmap,
            counter=LabelCounter(
                labelmap,
                next_label=labelmap.next_label(self._root),
                was_set=labelmap.next_label_was_set(self._root),
            ),
            is_there=self.is_there,
            goes_on=self._goes_on,
            note=self._note,
        )
