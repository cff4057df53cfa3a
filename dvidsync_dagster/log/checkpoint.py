"""The checkpoint: how far a destination has followed the log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from dvidsync_dagster.log.heard_ids import HeardIds
from dvidsync_dagster.log.ranges import Range, without
from dvidsync_dagster.log.record import Partition


@dataclass(frozen=True, slots=True)
class PartitionPosition:
    """`next` is the first offset that is not applied; `beyond` are the applied ones after it.

    `beyond` holds ranges (first, one past the last), ascending and apart: a cut by time is not one offset
    where a partition is not in key order.
    """

    next: int
    beyond: tuple[Range, ...] = ()


Positions = Mapping[str, Mapping[int, PartitionPosition]]
"""By topic and partition."""


@dataclass(frozen=True, slots=True)
class Contacted:
    """How a destination was found, see `Contact` of labelmaps.

    Args:
        next_mutation_id: its next mutation id when it was first met; 0 if that was not yet.
        started: when its process had begun then (ns since 1970), by the later of both servers' clocks and a
            second more; 0 if it did not tell.
        undisturbed: its next mutation id at the end of the chunk, if nobody but dvidsync has changed labels
            there since; else 0.
    """

    next_mutation_id: int = 0
    started: int = 0
    undisturbed: int = 0


NOT_MET = Contacted()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a destination has followed the log.

    `epoch` counts the runs that owned the destination. `key_ns` (nanoseconds since 1970) and `mutation_id`
    are the furthest that were applied. `clean` says that the run which wrote it ended in order: nothing was
    in flight afterwards. `era` is the key at which the source last began to count its mutation ids again
    (restored from a backup), or 0; `boot` when the source was last started, as far as its messages told.
    `contact`, `contact_started` and `undisturbed` are how the destination was found, see `Contacted`.
    `topics` holds the id that Kafka gave each topic when it was made, as far as the broker tells. `ids` are
    the mutation ids of the current era that the log has told of.
    """

    epoch: int
    positions: Positions = field(default_factory=dict)
    key_ns: int = 0
    mutation_id: int = 0
    clean: bool = False
    era: int = 0
    boot: int = 0
    contact: int = 0
    contact_started: int = 0
    undisturbed: int = 0
    topics: Mapping[str, str] = field(default_factory=dict)
    ids: HeardIds = field(default_factory=HeardIds)

    @property
    def contacted(self) -> Contacted:
        return Contacted(self.contact, self.contact_started, self.undisturbed)

    def with_contact(self, found: Contacted) -> Checkpoint:
        return replace(
            self,
            contact=found.next_mutation_id,
            contact_started=found.started,
            undisturbed=found.undisturbed,
        )

    def as_of(self, clock: int) -> Checkpoint:
        """The checkpoint with a key that is not ahead of the source's clock (ns since 1970).

        It is, if the clock was wrong in the run that made it, or is in this one. The positions are right all
        the same: they alone say what is read. A key that is too low does no harm.
        """
        return replace(self, key_ns=min(self.key_ns, clock))


@dataclass(frozen=True, slots=True)
class LogStart:
    """Where the log is read from without a checkpoint: all records with this key (ns since 1970) or a later
    one are to be applied, none before."""

    key_ns: int


def newly_applied(before: Positions, after: Positions) -> dict[Partition, list[Range]]:
    """By topic and partition, the ranges of offsets that `after` calls applied and `before` does not."""
    result = {}
    for topic, partitions in after.items():
        for partition, position in partitions.items():
            old = before.get(topic, {}).get(partition, PartitionPosition(0))
            fresh = without(_applied(position), _applied(old))
            if fresh:
                result[topic, partition] = fresh
    return result


def _applied(position: PartitionPosition) -> list[Range]:
    return [(0, position.next), *position.beyond]
