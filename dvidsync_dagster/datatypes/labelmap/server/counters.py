"""The label counters of a destination's labelmaps; all versions of an instance share one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace

from dvidsync_dagster.datatypes.labelmap.counter_rule import CounterState, Ids, PickedBy
from dvidsync_dagster.datatypes.labelmap.events import LabelEvent
from dvidsync_dagster.datatypes.labelmap.server.commands import LabelCommand
from dvidsync_dagster.datatypes.labelmap.server.counter import LabelCounter
from dvidsync_dagster.datatypes.labelmap.server.writer import LabelmapWriter
from dvidsync_dagster.datatypes.labelmap.source_counter import SourceCounter
from dvidsync_dagster.datatypes.server_side import Servers
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.repo import read_repo_info
from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.plan.outcome import Outcome

_EMPTY = CounterState(next_label=1, was_set=False)
"""How the counter of an instance stands that was just made."""


class Counters:
    """Asked by the threads that carry out steps.

    Args:
        new_writer: makes the writer of an instance around its counter.
    """

    def __init__(self, servers: Servers, new_writer: Callable[[str, LabelCounter], LabelmapWriter]) -> None:
        self._servers = servers
        self._new_writer = new_writer
        self._lock = threading.Lock()
        self._writers: dict[str, LabelmapWriter] = {}
        self._touched: set[tuple[str, str]] = set()

    def forget(self) -> None:
        """What the counters said before is no longer true."""
        with self._lock:
            self._writers.clear()

    def writer(self, instance: str) -> LabelmapWriter:
        """Raises RequestRefused if the destination has no such instance."""
        with self._lock:
            if instance not in self._writers:
                self._writers[instance] = self._new_writer(instance, self._new_counter(instance))
            return self._writers[instance]

    def state(self, instance: str) -> CounterState:
        """The label counter as it stands, for planning: the log may yet make the instance."""
        if not self._has(instance):
            return _EMPTY
        return self.writer(instance).counter.state

    def move(self, command: LabelCommand) -> Outcome:
        """Carry out a command that moves a counter. Whoever moved the source's can have been in a version
        that is not followed: then it is done at the repo's root."""
        if not command.version:
            command = replace(command, version=self._servers.root)
        return self.writer(command.instance).carry_out(command)

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
                    self._servers.note(
                        f"{counter.instance}: every version is committed, so labels that the source has used "
                        f"cannot be reserved here yet"
                    )
                else:
                    counter.settle(where)

    def follow_source(self) -> None:
        """All that the source did is done: bring each counter to where the source's is, even if no message
        told of the ids that are gone."""
        for instance in self._servers.repo.instances.values():
            next_label = self._servers.counters.get(instance.name)
            if next_label is None or instance.typename != "labelmap" or not self._has(instance.name):
                continue
            counter = self.writer(instance.name).counter
            versions = self._open_versions()
            with counter.lock:
                if versions:
                    counter.end_at(versions, next_label)
                else:
                    counter.burned(next_label - 1, "")

    def touched(self, events: Iterable[Event]) -> None:
        """Remember in which versions something was done."""
        self._touched.update(
            (event.instance, event.version)
            for event in events
            if isinstance(event, LabelEvent) and event.version
        )

    def follow_highest(self) -> None:
        """Raise the highest labels of the versions that were touched to the source's, as an administrator.

        What is applied raises them anyway, save where ids were reserved in another version, or not at all as
        people at practice had taken them. There an id that is reserved in the version does the same.
        """
        if self._servers.destination.has_admin_token or self._servers.shares_ids:
            list(self._servers.pool.map(lambda where: self._raise_highest(*where), sorted(self._touched)))
            self._touched.clear()

    def _raise_highest(self, instance: str, version: str) -> None:
        labelmap = Labelmap(self._servers.destination, self._servers.at_destination(instance))
        try:
            has = labelmap.max_label(version)
            wanted = Labelmap(self._servers.source, instance).max_label(version)
            counter = self.writer(instance).counter
            with counter.lock:
                if Ids(wanted, wanted, PickedBy.REQUEST).move(counter.state):
                    wanted = counter.next_label - 1
                if has < wanted and self._servers.destination.has_admin_token:
                    self._raise(labelmap, version, wanted)
                elif has < wanted < counter.next_label:
                    counter.took(labelmap.reserve(version, 1)[1])
        except RequestRefused:
            # A version that is not followed.
            return

    def _raise(self, labelmap: Labelmap, version: str, label: int) -> None:
        try:
            labelmap.raise_max_label(version, label)
        except RequestRefused as refusal:
            # Too high a label for the server.
            self._servers.note(f"{labelmap.name}: its maxlabel in {version} cannot be raised: {refusal.text}")

    def _has(self, instance: str) -> bool:
        if instance in self._writers:
            return True
        there = read_repo_info(self._servers.destination, self._servers.root).instances
        return self._servers.at_destination(instance) in there

    def _open_versions(self) -> list[str]:
        """Of the source's versions; the latest comes last."""
        info, sources = read_repo_info(self._servers.destination, self._servers.root), self._servers.repo
        found = [each for each in info.versions.values() if not each.locked and each.uuid in sources.versions]
        return [version.uuid for version in sorted(found, key=lambda version: version.number)]

    def _new_counter(self, instance: str) -> LabelCounter:
        servers = self._servers
        labelmap = Labelmap(servers.destination, servers.at_destination(instance))
        source = SourceCounter(
            Labelmap(servers.source, instance), servers.root, next_label=servers.counters.get(instance)
        )
        state = CounterState(labelmap.next_label(servers.root), labelmap.next_label_was_set(servers.root))
        return LabelCounter(labelmap, source, state, servers.note, shared=servers.shares_ids)
