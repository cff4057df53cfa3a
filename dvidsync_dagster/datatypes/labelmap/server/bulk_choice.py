"""Which operations on bodies are brought in bulk, and which are repeated one by one.

In bulk go those of an open version, unless something at the destination must be told of each operation, or
does not notice the new bodies: what is synced to the labelmap, and a server that keeps indices in memory.
See docs/dvid.md, "Copying states".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dvidsync_dagster.datatypes.labelmap.counter_rule import CounterState
from dvidsync_dagster.datatypes.labelmap.events import (
    BodyEvent,
    Cleave,
    LabelEvent,
    SetNextLabel,
    Split,
    SplitSupervoxel,
)
from dvidsync_dagster.datatypes.labelmap.server.bulk_cost import Work, costs_less_in_bulk, work_of
from dvidsync_dagster.datatypes.labelmap.server.combining import requests_of
from dvidsync_dagster.datatypes.labelmap.server.kept_indices import keeps_indices
from dvidsync_dagster.datatypes.server_side import Servers
from dvidsync_dagster.datatypes.source_places import is_after_commit
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.repo import RepoInfo, read_repo_info
from dvidsync_dagster.errors import ConfigurationError

AUTO_REQUESTS = 50
"""`auto` brings one by one what takes fewer requests for one instance."""

_LOOKED_AT = 10
"""Bodies whose indices are read, to know how large those are that operations change."""


class BulkChoice:
    """For one run.

    Args:
        counter_state: how the destination's counter of an instance stands.
    """

    def __init__(self, servers: Servers, counter_state: Callable[[str], CounterState]) -> None:
        self._servers = servers
        self._counter_state = counter_state
        self._keeps_indices: dict[str, bool] = {}

    def of(self, events: Sequence[LabelEvent]) -> list[bool]:
        """Which of the events in a batch go in bulk.

        Raises:
            ConfigurationError: `apply` is ``state``, and the server keeps indices in memory.
        """
        changes = _by_instance(events) if self._servers.apply != "replay" else {}
        if not changes:
            return [False] * len(events)
        there = read_repo_info(self._servers.destination, self._servers.root)
        chosen = {name for name, own in changes.items() if self._is_chosen(name, own, there)}
        # These must come in turn with all that take ids: the counter is set, or picks a body's label.
        chosen -= {event.instance for event in events if isinstance(event, SetNextLabel | Split)}
        return [
            isinstance(event, BodyEvent) and event.instance in chosen and self._is_usual(event, there)
            for event in events
        ]

    def _is_usual(self, event: BodyEvent, there: RepoInfo) -> bool:
        """Whether it is in an open version, and changes bodies only."""
        version = there.versions.get(event.version)
        is_open = version is None or not version.locked
        if isinstance(event, SplitSupervoxel):
            return False
        return is_open and 0 not in event.bodies and not is_after_commit(event, self._servers.repo)

    def _is_chosen(self, name: str, events: Sequence[BodyEvent], there: RepoInfo) -> bool:
        servers, here = self._servers, self._servers.at_destination(name)
        if servers.apply == "auto" and not self._is_worth_it(name, events, there):
            return False
        synced = sorted(each.name for each in there.instances.values() if here in each.syncs)
        if synced:
            servers.note(
                f"{here}: operations are repeated one by one, as {', '.join(synced)} must be told of each"
            )
            return False
        if here not in there.instances:
            return False
        if name not in self._keeps_indices:
            found = keeps_indices(
                Labelmap(servers.destination, here),
                self._open_versions(there),
                list(dict.fromkeys(label for event in events for label in event.bodies if label)),
            )
            if found is None:
                return False
            self._keeps_indices[name] = found
        return not self._keeps_indices[name] or self._refuse(here)

    def _open_versions(self, there: RepoInfo) -> list[str]:
        """The newest first; not the destination's own."""
        newest = sorted(there.versions.values(), key=lambda version: -version.number)
        return [each.uuid for each in newest if not each.locked and each.uuid in self._servers.repo.versions]

    def _is_worth_it(self, name: str, events: Sequence[BodyEvent], there: RepoInfo) -> bool:
        """Whether bulk costs less. Or the counter is past the label of a cleave: then a run that died had
        mapped it in bulk, and the request would get another label, and the counter stay ahead of the
        source's."""
        work = work_of(events, requests_of(events, self._servers.history))
        if work.requests >= AUTO_REQUESTS and costs_less_in_bulk(work, self._blocks(name, work, there)):
            return True
        counter = self._counter_state(name)
        return not (self._servers.shares_ids or counter.was_set) and any(
            isinstance(event, Cleave) and event.new < counter.next_label for event in events
        )

    def _blocks(self, name: str, work: Work, there: RepoInfo) -> float:
        """Of each body that is changed, on average of some; 0 if none of these is there yet."""
        here = self._servers.at_destination(name)
        if here not in there.instances:
            return 0
        labelmap = Labelmap(self._servers.destination, here)
        every = -(-len(work.changed) // _LOOKED_AT)
        some = [label for label in work.changed[::every] if label]
        for version in self._open_versions(there):
            found = [len(index.blocks) for _, index in labelmap.indices(version, some) if index.blocks]
            if found:
                return sum(found) / len(found)
        return 0

    def _refuse(self, instance: str) -> bool:
        found = f"{instance}: the server keeps indices of bodies in memory, and would go on with old ones"
        if self._servers.apply == "state":
            raise ConfigurationError(
                "destinations[].apply",
                f"is `state`, but {found}",
                "Take [cache.labelmap] out of the server's configuration and start it anew, or set "
                "`apply: replay`.",
            )
        self._servers.note(f"{found}: operations are repeated one by one")
        return False


def _by_instance(events: Sequence[LabelEvent]) -> Mapping[str, list[BodyEvent]]:
    found: dict[str, list[BodyEvent]] = {}
    for event in events:
        if isinstance(event, BodyEvent):
            found.setdefault(event.instance, []).append(event)
    return found
