"""A cheap look at how far a destination is behind: offsets and clocks, no records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dvidsync_dagster.config import AnyDestination, SyncConfig
from dvidsync_dagster.log.checkpoint import Checkpoint, PartitionPosition, Positions
from dvidsync_dagster.log.drain import MutationLog
from dvidsync_dagster.run.session import opened_session


@dataclass(frozen=True, slots=True)
class TopicPosition:
    """Both positions in one partition: what the log holds, and what comes next after the checkpoint.

    `next` is None where the checkpoint does not speak of the partition.
    """

    topic: str
    partition: int
    beginning: int
    end: int
    next: int | None
    waiting: int


@dataclass(frozen=True, slots=True)
class Look:
    """What a look found. `waiting` counts the records in the log that are not applied."""

    positions: tuple[TopicPosition, ...]
    clock: int

    @property
    def waiting(self) -> int:
        return sum(position.waiting for position in self.positions)


def look(config: SyncConfig, destination: AnyDestination, checkpoint: Checkpoint | None) -> Look:
    """Compare a checkpoint with what the servers and the broker say now.

    Raises:
        ConfigurationError: as at the start of a run.
        ServerError, LogError: a server or the broker cannot be asked.
    """
    born_since = checkpoint.key_ns if checkpoint is not None else 0
    with opened_session(config, destination, born_since=born_since, still_owner=lambda: None) as session:
        route = session.route
    with MutationLog(route.connection, list(route.topics)) as log:
        return Look(tuple(_positions(log.beginning(), log.end(), checkpoint)), route.clock)


def _positions(
    beginning: Positions, end: Positions, checkpoint: Checkpoint | None
) -> Iterator[TopicPosition]:
    for topic, partitions in sorted(end.items()):
        for partition, last in sorted(partitions.items()):
            first = beginning.get(topic, {}).get(partition, PartitionPosition(0)).next
            known = checkpoint.positions.get(topic, {}).get(partition) if checkpoint is not None else None
            applied = _applied(known, last.next) if known is not None else first
            yield TopicPosition(
                topic=topic,
                partition=partition,
                beginning=first,
                end=last.next,
                next=known.next if known is not None else None,
                waiting=max(0, last.next - applied),
            )


def _applied(position: PartitionPosition, end: int) -> int:
    """How many of the offsets before `end` are applied."""
    beyond = sum(max(0, min(last, end) - first) for first, last in position.beyond)
    return min(position.next, end) + beyond
