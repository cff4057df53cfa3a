"""One run that keeps the log: drain from a checkpoint to the cut, and write each chunk to the archive."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.dvid.asking import ask_server
from dvidsync_dagster.dvid.opening import open_source
from dvidsync_dagster.dvid.repo import ServerInfo
from dvidsync_dagster.log.checkpoint import Checkpoint, Positions
from dvidsync_dagster.log.chunk import LogChunk
from dvidsync_dagster.log.drain import MutationLog
from dvidsync_dagster.run.discovery import chosen_instances, kafka_connection, log_topics
from dvidsync_dagster.run.report import ChunkReport, Lag

if TYPE_CHECKING:
    from dvidsync_dagster.log.archive import LogArchive

_NS = 1_000_000_000


def archive_log(
    config: SyncConfig,
    archive: LogArchive,
    *,
    checkpoint: Checkpoint | None,
    epoch: int,
    still_owner: Callable[[], None],
    upto: int | None = None,
) -> Generator[ChunkReport, None, None]:
    """Archive what the log holds after the checkpoint; without one, all that the broker still holds.

    Args:
        epoch: of this run, for its checkpoints.
        still_owner: raises OwnershipLost if a newer run archives this log.
        upto: keys from here on (ns since 1970) are left for later; None: up to the cut.

    Yields:
        A report per chunk that is archived, the last one `final`. Malformed records are not archived: they
        stay in Kafka, and the destinations' runs tell of them.

    Raises:
        ConfigurationError, ServerError, LogError, OwnershipLost: everything up to the last report stands.
    """
    with open_source(config) as source:
        info, repo = ask_server("source.url", source, config.repo)
        instances = chosen_instances(config, repo)
        topics = list(log_topics(config, info, instances))
    cut = info.clock - int(config.settle_seconds * _NS)
    if upto is not None:
        cut = min(cut, upto - 1)
    if checkpoint is not None:
        checkpoint = checkpoint.as_of(info.clock)
    with MutationLog(kafka_connection(config, info), topics) as log:
        ids = log.ids()
        known = checkpoint or Checkpoint(epoch=epoch, positions=log.beginning())
        keeping = _Keeping(archive, log, info, cut, known.positions, known.key_ns)
        started = time.monotonic()
        chunks = log.chunks(
            known.positions,
            cut_key=cut,
            now=info.now,
            chunk_records=config.records_together(),
            since=known.key_ns,
            ids=known.topics,
        )
        for chunk in chunks:
            still_owner()
            drained = time.monotonic()
            report = keeping.keep(chunk)
            reached = Checkpoint(
                epoch=epoch,
                positions=keeping.stored,
                key_ns=keeping.reached,
                clean=chunk.last,
                topics=ids,
            )
            seconds = {"drain": drained - started, "archive": time.monotonic() - drained}
            yield replace(report, checkpoint=reached, seconds=seconds)
            started = time.monotonic()


@dataclass
class _Keeping:
    """Writes chunks to the archive, one after the other.

    Args:
        source: as it was asked at the start of the run.
        cut: the last key that is read, ns since 1970.
        stored: the archive has all up to these positions.
        reached: and up to this key (ns since 1970); 0 if it has none.
    """

    archive: LogArchive
    log: MutationLog
    source: ServerInfo
    cut: int
    stored: Positions
    reached: int
    _lag_before: Lag | None = None

    def keep(self, chunk: LogChunk) -> ChunkReport:
        """Write a chunk; what it came to, without checkpoint and times."""
        records = len(chunk.records) + len(chunk.malformed) + chunk.duplicates + chunk.empty
        # Nothing is written of an empty chunk: what it stands for goes along with the next one.
        malformed = [record.origin for record in chunk.malformed]
        if self.archive.write(chunk.records, self.stored, self.log.positions(malformed)) is not None:
            self.stored = self.log.positions()
        begin = self.reached or (chunk.records[0].key_ns if chunk.records else self.cut)
        self.reached = max(self.reached, self.cut if chunk.last else min(chunk.horizon, self.cut))
        if self._lag_before is None:
            self._lag_before = Lag.at(chunk.behind + records, self.source.clock, begin)
        return ChunkReport(
            from_ns=begin,
            to_ns=max(begin, self.reached),
            lag_before=self._lag_before,
            lag_after=Lag.at(chunk.behind, self.source.now(), self.reached),
            records=records,
            duplicates=chunk.duplicates,
            empty=chunk.empty,
            ahead=chunk.ahead,
            final=chunk.last,
        )
