"""The records of the log that a destination has not followed yet, read on as the log grows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType

from dvidsync_dagster.compare.both_sides import BothSides
from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.datatypes.decode import decode_records
from dvidsync_dagster.datatypes.registry import ALL, FOLLOWED
from dvidsync_dagster.datatypes.source_places import SourcePlaces
from dvidsync_dagster.differences.touched import Touched
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.errors import LogGap, LogRecreated
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.log.checkpoint import Checkpoint, Positions
from dvidsync_dagster.log.drain import MutationLog
from dvidsync_dagster.log.eras import EraClock
from dvidsync_dagster.run.discovery import kafka_connection, log_topics
from dvidsync_dagster.run.source_log import archive_of

_END_OF_TIME = 1 << 62


class LaterRecords:
    """What comes after a checkpoint. A context manager.

    Args:
        servers: the source names the broker.
        checkpoint: how far the destination is; None if that is not known: then nothing is later.
        note: says something for the comparison's notes.
        from_now: only what comes from now on counts as later.

    The broker is asked first when it must be.
    """

    def __init__(
        self,
        config: SyncConfig,
        sides: BothSides,
        checkpoint: Checkpoint | None,
        note: Callable[[str], None],
        *,
        from_now: bool = False,
    ) -> None:
        self._config = config
        self._sides = sides
        self._checkpoint = checkpoint
        self._note = note
        self._touched = Touched()
        self._positions: Positions = checkpoint.positions if checkpoint is not None else {}
        self._from_now = from_now
        self._log: MutationLog | None = None

    def __enter__(self) -> LaterRecords:
        if self._from_now and self.known:
            self._positions = self._opened().end()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._log is not None:
            self._log.__exit__(kind, error, trace)

    @property
    def known(self) -> bool:
        """Whether it can be told what is later."""
        return self._checkpoint is not None

    def touched(self) -> Touched:
        """What is touched by all records up to now.

        Raises:
            BrokerUnreachable, ConfigurationError, ServerError.
        """
        if self._checkpoint is None:
            return self._touched
        repo, log = self._sides.source_repo, self._opened()
        others = {
            instance.name: instance.name
            for instance in repo.instances.values()
            if instance.typename not in FOLLOWED
        }
        places = SourcePlaces(repo, self._sides.source_info.clock)
        try:
            for chunk in log.chunks(
                self._positions,
                cut_key=_END_OF_TIME,
                since=self._checkpoint.key_ns,
                chunk_records=self._config.records_together(),
            ):
                self._add(decode_records(chunk.records, self._topics(), others, EraClock(), places).events)
            self._positions = log.positions()
        except (LogGap, LogRecreated) as error:
            self._note(f"what is not followed yet cannot be told from what differs: {error}")
        return self._touched

    def _topics(self) -> dict[str, Instance | None]:
        instances = self._sides.source_repo.instances.values()
        return log_topics(self._config, self._sides.source_info, instances)

    def _opened(self) -> MutationLog:
        if self._log is None:
            archive = archive_of(self._config)
            connection = kafka_connection(self._config, self._sides.source_info)
            self._log = MutationLog(connection, list(self._topics()), archive).__enter__()
        return self._log

    def _add(self, events: Iterable[Event]) -> None:
        """An event counts from its start on, whether it will complete or not."""
        for event in events:
            comparison = ALL[event.typename].comparison
            if comparison is not None:
                comparison.touch(event, self._touched, self._sides.source)
