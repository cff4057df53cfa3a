"""The checkpoint: how far a destination has followed the log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dvidsync_dagster.errors import CheckpointError
from dvidsync_dagster.log.heard_ids import Gap, HeardIds
from dvidsync_dagster.log.ranges import Range, without

FORMAT = 1


@dataclass(frozen=True, slots=True)
class PartitionPosition:
    """`next` is the first offset that is not applied; `beyond` are the applied ones after it.

    `beyond` holds ranges (first, one past the last), ascending and apart: a cut by time is not one offset
    where a partition is not in key order.
    """

    next: int
    beyond: tuple[tuple[int, int], ...] = ()


Positions = Mapping[str, Mapping[int, PartitionPosition]]
"""By topic and partition."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a destination has followed the log.

    `epoch` counts the runs that owned the destination. `key` (nanoseconds since 1970) and `mutation_id` are
    the furthest that were applied. `clean` says that the run which wrote it ended in order: nothing was in
    flight afterwards. `era` is the key at which the source last began to count its mutation ids again
    (restored from a backup), or 0; `boot` when the source was last started, as far as its messages told.
    `contact` is the destination's next mutation id when it was first met, or 0: see `Contact` of labelmaps.
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
    topics: Mapping[str, str] = field(default_factory=dict)
    ids: HeardIds = field(default_factory=HeardIds)

    def as_of(self, clock: int) -> Checkpoint:
        """The checkpoint with a key that is not ahead of the source's clock (ns since 1970).

        It is, if the clock was wrong in the run that made it, or is in this one. The positions are right all
        the same: they alone say what is read. A key that is too low does no harm.
        """
        return replace(self, key_ns=min(self.key_ns, clock))


def checkpoint_json(checkpoint: Checkpoint) -> dict[str, Any]:
    """The checkpoint as JSON: `format`, the fields by name, positions by topic and partition (as text)."""
    return {
        "format": FORMAT,
        "epoch": checkpoint.epoch,
        "key": checkpoint.key_ns,
        "mutation_id": checkpoint.mutation_id,
        "clean": checkpoint.clean,
        "era": checkpoint.era,
        "boot": checkpoint.boot,
        "contact": checkpoint.contact,
        "topics": dict(checkpoint.topics),
        "ids": {
            "following": checkpoint.ids.following,
            "key": checkpoint.ids.key,
            "gaps": [list(gap) for gap in checkpoint.ids.gaps],
            "waiting": list(checkpoint.ids.waiting),
        },
        "positions": {
            topic: {
                str(partition): {"next": position.next, "beyond": [list(pair) for pair in position.beyond]}
                for partition, position in partitions.items()
            }
            for topic, partitions in checkpoint.positions.items()
        },
    }


def checkpoint_from_json(stored: object) -> Checkpoint:
    """Read what `checkpoint_json` wrote.

    Raises:
        CheckpointError: it is damaged, or of a newer format.
    """
    found = _fields(stored, "checkpoint")
    version = _count(found, "format", "checkpoint")
    if version > FORMAT:
        raise CheckpointError(
            f"the checkpoint has format {version}, this version of dvidsync reads up to {FORMAT}. "
            f"Update dvidsync."
        )
    clean = found.get("clean")
    if not isinstance(clean, bool):
        raise _damaged("checkpoint.clean", clean)
    return Checkpoint(
        epoch=_count(found, "epoch", "checkpoint"),
        positions=_positions_from(found.get("positions")),
        key_ns=_count(found, "key", "checkpoint"),
        mutation_id=_count(found, "mutation_id", "checkpoint"),
        clean=clean,
        era=_count(found, "era", "checkpoint"),
        boot=_count(found, "boot", "checkpoint"),
        contact=_count(found, "contact", "checkpoint"),
        topics=_topics_from(found.get("topics", {})),
        ids=_ids_from(found["ids"]) if "ids" in found else HeardIds(),
    )


def from_offsets(offsets: object) -> Positions:
    """Read the checkpoint of the 2017 tool: ``{topic: next offset}``, of topics with one partition.

    Raises:
        CheckpointError: it is not that.
    """
    found = _fields(offsets, "offsets")
    return {topic: {0: PartitionPosition(_count(found, topic, "offsets"))} for topic in found}


def newly_applied(before: Positions, after: Positions) -> dict[tuple[str, int], list[Range]]:
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


def _topics_from(stored: object) -> Mapping[str, str]:
    found = _fields(stored, "checkpoint.topics")
    for topic, topic_id in found.items():
        if not isinstance(topic_id, str):
            raise _damaged(f"checkpoint.topics[{topic!r}]", topic_id)
    return found


def _ids_from(stored: object) -> HeardIds:
    found = _fields(stored, "checkpoint.ids")
    gaps = found.get("gaps")
    if not isinstance(gaps, list) or not all(_is_gap(gap) for gap in gaps):
        raise _damaged("checkpoint.ids.gaps", gaps)
    waiting = found.get("waiting", [])
    if not isinstance(waiting, list) or not all(type(each) is int for each in waiting):
        raise _damaged("checkpoint.ids.waiting", waiting)
    return HeardIds(
        following=_count(found, "following", "checkpoint.ids"),
        key=_count(found, "key", "checkpoint.ids"),
        gaps=tuple(Gap(*gap) for gap in gaps),
        waiting=tuple(waiting),
    )


def _is_gap(stored: object) -> bool:
    return (
        isinstance(stored, list)
        and len(stored) == len(Gap._fields)
        and all(type(number) is int and 0 <= number < 2**64 for number in stored)
        and stored[0] <= stored[1]
    )


def _positions_from(stored: object) -> Positions:
    result: dict[str, dict[int, PartitionPosition]] = {}
    for topic, partitions in _fields(stored, "checkpoint.positions").items():
        where = f"checkpoint.positions[{topic!r}]"
        result[topic] = {}
        for partition, position in _fields(partitions, where).items():
            if not (partition.isascii() and partition.isdigit()):
                raise _damaged(where, partition)
            result[topic][int(partition)] = _position_from(position, f"{where}[{partition!r}]")
    return result


def _position_from(stored: object, where: str) -> PartitionPosition:
    found = _fields(stored, where)
    next_offset = _count(found, "next", where)
    ranges = found.get("beyond")
    if not isinstance(ranges, list):
        raise _damaged(f"{where}.beyond", ranges)
    beyond: list[tuple[int, int]] = []
    reached = next_offset
    for pair in ranges:
        if not isinstance(pair, list) or len(pair) != 2 or not all(type(offset) is int for offset in pair):
            raise _damaged(f"{where}.beyond", pair)
        first, last = pair
        if not reached < first < last:
            raise _damaged(f"{where}.beyond", pair)
        beyond.append((first, last))
        reached = last
    return PartitionPosition(next_offset, tuple(beyond))


def _fields(stored: object, where: str) -> Mapping[str, Any]:
    if not isinstance(stored, Mapping) or not all(isinstance(name, str) for name in stored):
        raise _damaged(where, stored)
    return stored


def _count(found: Mapping[str, Any], name: str, where: str) -> int:
    value = found.get(name)
    if type(value) is not int or not 0 <= value < 2**64:
        raise _damaged(f"{where}.{name}", value)
    return value


def _damaged(where: str, found: object) -> CheckpointError:
    text = repr(found)
    shown = text if len(text) <= 80 else f"{text[:80]}…"
    return CheckpointError(
        f"{where} is damaged: {shown}. Give the destination a start, or restore an earlier checkpoint."
    )
