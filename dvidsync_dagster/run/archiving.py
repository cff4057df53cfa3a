"""One run that keeps the log: drain from a checkpoint to the cut, and write each chunk to the archive."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.dvid.asking import ask_server
from dvidsync_dagster.dvid.opening import open_source
from dvidsync_dagster.log.checkpoint import Checkpoint
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
        known = checkpoint.topics if checkpoint is not None else {}
        ids = log.ids()
        stored = checkpoint.positions if checkpoint is not None else log.beginning()
        reached = checkpoint.key_ns if checkpoint is not None else 0
        lag_before: Lag | None = None
        started = time.monotonic()
        chunks = log.chunks(
            stored,
            cut_key=cut,
            now=info.now,
            chunk_records=config.records_together(),
            since=reached,
            ids=known,
        )
        for chunk in chunks:
            still_owner()
            drained = time.monotonic()
            records = len(chunk.records) + len(chunk.malformed) + chunk.duplicates + chunk.empty
            # Nothing is written of an empty chunk: what it stands for goes along with the next one.
            malformed = [record.origin for record in chunk.malformed]
            if archive.write(chunk.records, stored, log.positions(malformed)) is not None:
                stored = log.positions()
            first = chunk.records[0].key_ns if chunk.records else cut
            begin = reached or first
            reached = max(reached, cut if chunk.last else min(chunk.horizon, cut))
            if lag_before is None:
                lag_before = Lag.at(chunk.behind + records, info.clock, begin)
            yield ChunkReport(
                checkpoint=Checkpoint(
                    epoch=epoch, positions=stored, key_ns=reached, clean=chunk.last, topics=ids
                ),
                from_ns=begin,
                to_ns=max(begin, reached),
                lag_before=lag_before,
                lag_after=Lag.at(chunk.behind, info.now(), reached),
                records=records,
                duplicates=chunk.duplicates,
                empty=chunk.empty,
                ahead=chunk.ahead,
                seconds={"drain": drained - started, "archive": time.monotonic() - drained},
                final=chunk.last,
            )
            started = time.monotonic()
