"""What the source changed before the part of the log that a run follows, as far as Kafka still holds it."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator

from dvidsync_dagster.datatypes.decode import decode_records
from dvidsync_dagster.datatypes.registry import ALL
from dvidsync_dagster.errors import LogGap, LogRecreated
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.events.repo import NewInstance, NewVersion
from dvidsync_dagster.log.drain import REORDER_NS, MutationLog
from dvidsync_dagster.log.eras import EraClock
from dvidsync_dagster.run.discovery import Route
from dvidsync_dagster.run.source_log import may_be_dropped, offsets_between

MOST = 1_000_000
"""Records that are read to tell. Where there are more, nothing is told."""

_AT_ONCE = 20_000


class LogBefore:
    """The log before a run. It is asked by several threads, and reads only what it is asked for.

    Args:
        begin: where the run begins (ns since 1970).
    """

    def __init__(self, route: Route, begin: int) -> None:
        self._route = route
        self._begin = begin
        self._known: dict[tuple[str, str], Collection[str] | None] = {}
        self._lock = threading.Lock()

    def changed(self, version: str, instance: str) -> Collection[str] | None:
        """The items of an instance that the source changed in a version, as the log calls them. None if that
        is not known: Kafka must hold all since the version was made, and that it was; of a root, that the
        instance was made in it.

        Raises:
            BrokerUnreachable: the broker does not answer in time.
        """
        with self._lock:
            place = (version, instance)
            if place not in self._known:
                self._known[place] = self._read(version, instance)
            return self._known[place]

    def _read(self, version: str, instance: str) -> Collection[str] | None:
        found = self._route.repo.versions.get(version)
        if found is None or not found.created:
            return None
        # A version is made some time before its message, and before anything changes in it.
        since = found.created - REORDER_NS
        try:
            made = self._events(None, since, self._route.clock)
            if not any(_begins(event, version, instance, is_root=not found.parents) for event in made):
                return None
            changes = self._events(instance, since, self._begin) if since < self._begin else iter(())
            return {
                str(item)
                for event in changes
                if event.version == version
                for item in ALL[event.typename].items(event)
            }
        except (LogGap, LogRecreated, _NotTold):
            return None

    def _events(self, instance: str | None, since: int, until: int) -> Iterator[Event]:
        """Of an instance, or of the repo; all of some time (ns since 1970).

        Raises:
            LogGap, LogRecreated, _NotTold: it is not all there.
        """
        route = self._route
        topics = {
            topic: each
            for topic, each in route.topics.items()
            if (None if each is None else each.name) == instance
        }
        with MutationLog(route.connection, list(topics)) as log:
            start = log.at(since)
            if may_be_dropped(log.beginning(), start) or offsets_between(start, log.end()) > MOST:
                raise _NotTold
            chunks = log.chunks(start, cut_key=until, from_key=since, now=route.now, chunk_records=_AT_ONCE)
            for chunk in chunks:
                decoded = decode_records(chunk.records, topics, {}, EraClock(), route.places)
                if decoded.undecodable or chunk.malformed:
                    raise _NotTold
                yield from (announcement.event for announcement in decoded.announcements)


def _begins(event: Event, version: str, instance: str, *, is_root: bool) -> bool:
    """Whether nothing of an instance changed in a version before an event, other than what it took over."""
    if is_root:
        return isinstance(event, NewInstance) and (event.version, event.name) == (version, instance)
    return isinstance(event, NewVersion) and event.child == version


class _NotTold(Exception):
    """The log does not hold all of it."""
