"""The source's log as a run reads it: on from a checkpoint or the configured start, or a span of it again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.events.origin import key_text
from dvidsync_dagster.log.archived import archived_chunks
from dvidsync_dagster.log.checkpoint import (
    Checkpoint,
    LogStart,
    PartitionPosition,
    Positions,
    newly_applied,
)
from dvidsync_dagster.log.chunk import LogChunk
from dvidsync_dagster.log.drain import MutationLog
from dvidsync_dagster.log.record import Partition
from dvidsync_dagster.outgoing_text import counted
from dvidsync_dagster.run.discovery import Route

if TYPE_CHECKING:
    from dvidsync_dagster.log.archive import LogArchive


class Now(Enum):
    """A start at what the log holds now: all of that is before it, whatever the source's clock says."""

    NOW = auto()


BEGINNING = LogStart(0)
"""A start at the beginning of what the log still holds."""


@dataclass(frozen=True, slots=True)
class SourceLog:
    """What a run reads, as chunks.

    Args:
        log: open.
        archive: where the log is kept, if it is.
        chunk_records: that are read together.
        say: says something once per run.
    """

    route: Route
    log: MutationLog
    archive: LogArchive | None
    chunk_records: int
    say: Callable[[str], None]

    def onward(self, checkpoint: Checkpoint, cut: int) -> Iterator[LogChunk]:
        """From a checkpoint to the cut. Raises LogGap and LogRecreated."""
        chunks = self._read(checkpoint.positions, 0, cut, since=checkpoint.key_ns, ids=checkpoint.topics)
        if self.log.bridged:
            dropped = counted(self.log.bridged, "record")
            self.say(f"{dropped} that Kafka has dropped came from the archive")
        return chunks

    def from_start(self, start: LogStart | Now, cut: int) -> tuple[Iterator[LogChunk], int]:
        """From a start to the cut, and the key of the start; 0 for the log's beginning."""
        if start is Now.NOW:
            return self._read(self.log.end(), 0, cut, since=self.route.clock), self.route.clock
        if start == BEGINNING:
            return self._read(self.log.beginning(), 0, cut), 0
        key = start.key_ns
        positions = self._from_archive(key, self.log.at(key))
        return self._read(positions, key, cut, since=key), key

    def again(self, from_key: int, upto: int) -> Iterator[LogChunk]:
        """From the archive what Kafka may have dropped, from Kafka what is left of it."""
        held_from = from_key
        if may_be_dropped(self.log.beginning(), self.log.at(from_key)):
            if self.archive is None:
                self.say(
                    f"Kafka no longer holds everything since {key_text(from_key)}, and no `archive` is "
                    f"configured: only what it still holds was read again"
                )
            else:
                for chunk in archived_chunks(self.archive, self.route.topics, from_key, upto):
                    held_from = chunk.horizon + 1
                    yield chunk
        yield from self._read(self.log.at(held_from), held_from, upto)

    def waiting(self, checkpoint: Checkpoint) -> int:
        """The offsets that the log has and the checkpoint does not call applied."""
        return offsets_between(checkpoint.positions, self.log.end())

    def _from_archive(self, key: int, positions: Positions) -> Positions:
        """The positions of a start; where Kafka may have dropped records since, as the archive has them."""
        dropped = may_be_dropped(self.log.beginning(), positions)
        if not dropped:
            return positions
        found = {topic: dict(partitions) for topic, partitions in positions.items()}
        archived = self.archive.first_offsets(key) if self.archive is not None else {}
        unsure = False
        for topic, partition in dropped:
            held = positions[topic][partition].next
            first = min(held, archived.get((topic, partition), held))
            found[topic][partition] = PartitionPosition(first)
            before = [(first - 1, first)] if first else []
            unsure |= self.archive is None or not self.archive.covers(topic, partition, before)
        if unsure:
            self.say(
                f"neither Kafka nor an archive holds anything from before its first record after the start "
                f"{key_text(key)}: if records since the start are missing there, only a comparison shows it"
            )
        return found

    def _read(
        self,
        positions: Positions,
        from_key: int,
        cut: int,
        *,
        since: int = 0,
        ids: Mapping[str, str] | None = None,
    ) -> Iterator[LogChunk]:
        return self.log.chunks(
            positions,
            cut_key=cut,
            from_key=from_key,
            now=self.route.now,
            since=since,
            ids=ids,
            chunk_records=self.chunk_records,
        )


def may_be_dropped(beginning: Positions, positions: Positions) -> list[Partition]:
    """The partitions whose first record that is still there is the first that is wanted.

    Args:
        beginning: of what the broker holds.
        positions: from where it is wanted.
    """
    return [
        (topic, partition)
        for topic, partitions in positions.items()
        for partition, position in partitions.items()
        if position.next == beginning[topic][partition].next > 0
    ]


def offsets_between(before: Positions, after: Positions) -> int:
    """The offsets that `after` calls applied and `before` does not."""
    return sum(last - first for ranges in newly_applied(before, after).values() for first, last in ranges)


def archive_of(config: SyncConfig) -> LogArchive | None:
    """The log's archive, if the configuration names one.

    Raises:
        ConfigurationError: there is no such kind of store.
    """
    if config.archive is None:
        return None
    from dvidsync_dagster.log.archive import LogArchive  # what reads tables takes time to load

    return LogArchive(config.archive)
