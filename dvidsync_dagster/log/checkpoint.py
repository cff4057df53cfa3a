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
class Behind:
    """Something at a destination that is not as at the source, as an event on it was left out.

    Args:
        instance, version: where.
        item: what, as its data type names it: the label of a body.
        era, mutation_id: of the first event that was left out.
        where: the record that told of it.
    """

    instance: str
    version: str
    item: str
    era: int
    mutation_id: int
    where: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a destination has followed the log.

    Times and keys are in nanoseconds since 1970, by the source's clock.

    Args:
        epoch: how many runs have owned the destination.
        positions: by topic and partition, the offsets that are applied. They alone say what is read next.
        key_ns, mutation_id: the highest key and mutation id that were applied.
        clean: the run that wrote it ended in order: nothing was in flight afterwards.
        era: the key at which the source last began to count its mutation ids again, as it was restored from a
            backup; 0 if it never did.
        boot: when the source was last started, as far as its messages told.
        contact: the destination's next mutation id when it was first met, or the first that people are seen
            to have got there before; 0 if that is not known. See `Contact` of labelmaps.
        topics: the id that Kafka gave each topic when it was made, as far as the broker tells.
        ids: the mutation ids of the current era that the log has told of.
        behind: what the events touched that were left out. Nothing is done to it.
        behind_in: the file that holds the rest of `behind`, where it is too much for a checkpoint; else "".
            See `KeptBehind`.
        values: the name of what is kept of the values that were brought. See `Digests`.
        alone: the destination's next mutation id at the end of the run. See `OthersAtWork`.
        doubt: when it was seen last that somebody but dvidsync may have changed bodies there; 0 if never.
    """

    epoch: int
    positions: Positions = field(default_factory=dict)
    key_ns: int = 0
    mutation_id: int = 0
    clean: bool = False
    era: int = 0
    boot: int = 0
    contact: int = 0
    topics: Mapping[str, str] = field(default_factory=dict)
    ids: HeardIds = field(default_factory=HeardIds)
    behind: tuple[Behind, ...] = ()
    behind_in: str = ""
    values: str = ""
    alone: int = 0
    doubt: int = 0

    def as_of(self, clock: int) -> Checkpoint:
        """The checkpoint with a key that is not ahead of the source's clock (ns since 1970).

        It is, if the clock was wrong in the run that made it, or is in this one. The positions are right all
        the same: they alone say what is read. A key that is too low does no harm.
        """
        return replace(self, key_ns=min(self.key_ns, clock))


@dataclass(frozen=True, slots=True)
class LogStart:
    """Where the log is read from without a checkpoint: all records with this key (ns since 1970) or a later
    one are to be applied, none before.

    `there_ns` is the moment (ns since 1970) up to which the destination has everything, where that is later:
    a part of the log before it is read too, to be sure.
    """

    key_ns: int
    there_ns: int = 0


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
