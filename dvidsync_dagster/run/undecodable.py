"""What a run does with records that cannot be decoded: set them aside, or stop once all else is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dvidsync_dagster.config import AnyDestination, SyncConfig
from dvidsync_dagster.datatypes.decode import Decoded
from dvidsync_dagster.dvid.repo import Instance, RepoInfo
from dvidsync_dagster.errors import UndecodableRecord
from dvidsync_dagster.events.event import Announcement
from dvidsync_dagster.events.origin import Origin
from dvidsync_dagster.log.chunk import LogChunk
from dvidsync_dagster.log.quarantine import Quarantine, place_of, quarantine_of
from dvidsync_dagster.log.record import Record
from dvidsync_dagster.run.discovery import Route
from dvidsync_dagster.run.report import QuarantinedRecord
from dvidsync_dagster.run.waiting import Contents, Waiting

Found = tuple[Record, str]
"""A record, and what is wrong with it."""


@dataclass
class Undecodable:
    """The records of one pass over the log that cannot be decoded.

    Args:
        quarantine: where they are kept, before a checkpoint passes them.
        stops: the run stops at those that were never let pass; else all are set aside.
        waiting: what waits behind those.
        topics: the instance whose messages a topic holds; None for the repo's own operations.
        not_followed: instances whose messages are only counted, by name: as what.
    """

    quarantine: Quarantine
    stops: bool
    waiting: Waiting
    topics: Mapping[str, Instance | None]
    not_followed: Mapping[str, str]
    _stopped_at: list[Found] = field(default_factory=list)

    def sort_out(
        self, chunk: LogChunk, decoded: Decoded
    ) -> tuple[Decoded, list[Announcement], tuple[QuarantinedRecord, ...]]:
        """Of a chunk's records: what can be applied, what must wait, and what is set aside.

        Raises:
            LogError: the quarantine cannot be read or written.
        """
        found = self._found(chunk, decoded)
        stopping: list[Found] = []
        if found and self.stops:
            states = self.quarantine.states(record for record, _ in found)
            stopping = [each for each, state in zip(found, states, strict=True) if state in (None, "stopped")]
            found = [
                each for each, state in zip(found, states, strict=True) if state not in (None, "stopped")
            ]
            self.quarantine.keep(stopping, "stopped")
        elif found:
            self.quarantine.keep(found, "quarantined")
        self._stopped_at += stopping
        passed, behind = self.waiting.let_through(decoded, [record.origin for record, _ in stopping])
        return passed, behind, tuple(_told(found))

    def let_pass(
        self, chunk: LogChunk, pass_over: Callable[[Iterable[Origin]], None], *, clock_fits: bool
    ) -> LogChunk:
        """The last chunk without the records far ahead of the source's clock that people let pass; they are
        handed to `pass_over`. The others are kept, to be looked at, unless the clock seems to be wrong.

        Raises:
            LogError: the quarantine cannot be read or written.
        """
        shown = chunk.ahead.shown
        if not shown:
            return chunk
        known = list(zip(shown, self.quarantine.states(shown), strict=True))
        if clock_fits:
            found = "its key is more than a day ahead of the source's clock"
            self.quarantine.keep([(record, found) for record, state in known if state is None], "stopped")
        passed = [record.origin for record, state in known if state in ("skipped", "applied")]
        pass_over(passed)
        return replace(chunk, ahead=chunk.ahead.without(passed), behind=chunk.behind - len(passed))

    def check(self) -> None:
        """At the end of the pass.

        Raises:
            UndecodableRecord: it must stop at one; tells of the first.
        """
        if self._stopped_at:
            record, found = min(self._stopped_at, key=lambda each: each[0].origin)
            raise UndecodableRecord(
                str(record.origin),
                found,
                record=str(place_of(record)),
                more=len(self._stopped_at) - 1,
                waiting=len(self.waiting.origins) - len(self._stopped_at),
            )

    def _found(self, chunk: LogChunk, decoded: Decoded) -> list[Found]:
        found = list(decoded.undecodable)
        for malformed in chunk.malformed:
            instance = self.topics[malformed.topic]
            if instance is not None and instance.name in self.not_followed:
                decoded.not_followed[self.not_followed[instance.name]] += 1
            else:
                found.append((malformed, malformed.found or ""))
        return sorted(found, key=lambda each: each[0].origin)


def undecodable_of(
    config: SyncConfig, destination: AnyDestination, route: Route, ask: Callable[[], RepoInfo]
) -> Undecodable:
    """What a pass to a destination does with them; `ask` tells the destination's repo.

    Raises:
        ConfigurationError: there is no such kind of store as the quarantine's.
    """

    def contents() -> Contents:
        info = ask()
        return Contents(info.versions, info.instances)

    return Undecodable(
        quarantine_of(config, destination.name),
        config.on_undecodable == "stop",
        Waiting(route.topics, contents),
        route.topics,
        route.not_followed,
    )


def _told(found: Iterable[Found]) -> Sequence[QuarantinedRecord]:
    return [
        QuarantinedRecord(origin.topic, origin.partition, origin.offset, origin.key_ns, words)
        for origin, words in ((record.origin, words) for record, words in found)
    ]
