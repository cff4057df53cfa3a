"""Versions and instances at a DVID server that follows."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence

from dvidsync_dagster.datatypes.commands import Step
from dvidsync_dagster.datatypes.repo.claims import claim
from dvidsync_dagster.datatypes.repo.commands import (
    CommitVersion,
    MakeInstance,
    MakeVersion,
    RepoCommand,
    SetSync,
    WriteLog,
    WriteNote,
)
from dvidsync_dagster.datatypes.repo.instances import InstanceWriter
from dvidsync_dagster.datatypes.repo.syncs import SyncWriter
from dvidsync_dagster.datatypes.repo.writer import VersionWriter
from dvidsync_dagster.datatypes.server_side import Servers, ServerSide, Unit, single
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.events.repo import Commit, NewInstance, NewVersion, NodeLog, NodeNote, RepoEvent
from dvidsync_dagster.plan.outcome import Outcome


class RepoSide(ServerSide):
    """One step at a time: each looks first, and what it finds must hold until it has asked for its change.

    Args:
        sorts_anew: data types whose instances must be told to sort what they have by a new labelmap.
    """

    def __init__(self, servers: Servers, sorts_anew: Collection[str]) -> None:
        super().__init__(servers)
        self._lock = threading.Lock()
        self._versions = VersionWriter(
            servers.source, servers.destination, servers.root, servers.own_values.about_to_make
        )
        self._syncs = SyncWriter(servers, sorts_anew)
        self._instances = InstanceWriter(
            servers.repo,
            servers.destination,
            servers.root,
            followed=servers.followed,
            about_to_make=servers.own_values.about_to_make,
            sorts_anew=sorts_anew,
            note=servers.note,
        )

    def units(self, events: Sequence[Event]) -> list[Unit]:
        return [Unit((event,), claim(event)) for event in events if isinstance(event, RepoEvent)]

    def command(self, units: Sequence[Unit]) -> Step:
        ((event,),) = (unit.events for unit in units)
        assert isinstance(event, RepoEvent)
        return single(command_of(event), event)

    def carry_out(self, step: Step, *, doubtful: bool) -> Outcome:
        command = step.command
        assert isinstance(command, RepoCommand)
        with self._lock:
            if isinstance(command, SetSync):
                return self._syncs.carry_out(command)
            if isinstance(command, MakeInstance):
                return self._instances.apply(command)
            return self._versions.carry_out(command)


def command_of(event: RepoEvent) -> RepoCommand:
    """The command that repeats one event."""
    version = event.version
    match event:
        case NewVersion():
            return MakeVersion(
                version=version, child=event.child, note=event.note, branch=event.branch, tag=event.tag
            )
        case Commit():
            return CommitVersion(version=version, note=event.note, log=event.log)
        case NodeNote():
            return WriteNote(version=version, note=event.note, noted_ns=event.origin.key_ns)
        case NodeLog():
            return WriteLog(version=version, log=event.log, logged_ns=event.origin.key_ns)
        case NewInstance():
            return MakeInstance(version=version, instance=event.name, data_type=event.data_type)
    raise TypeError(f"no event that can be repeated: {event!r}")
