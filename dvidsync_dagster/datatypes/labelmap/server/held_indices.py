"""Which operations are made together in bulk: those that share bodies, and as many more as memory takes.

How large indices are shows only when they are read: a fragment is in some blocks, a large neuron in a hundred
thousand. So few are read first, and more at a time as long as they are small.
"""

from __future__ import annotations

from collections.abc import Sequence

from dvidsync_dagster.datatypes.labelmap.changed_indices import tied
from dvidsync_dagster.datatypes.labelmap.events import BodyEvent
from dvidsync_dagster.datatypes.labelmap.server.bodies import Bodies
from dvidsync_dagster.dvid.proto.labelmap_pb2 import LabelIndex

BLOCKS_HELD = 400_000
"""Blocks of indices that are in memory together, unless bodies that operations tie together have more. Each
takes some 800 bytes, with what is made of it."""

INDICES_AT_ONCE = 2_000
"""Indices that one request reads or writes: some go side by side."""

_FIRST = 32
"""Indices that are read before anything is known of their size."""
_SIDE_BY_SIDE = 4
_FASTER = 4
"""So many times as many are read next, where they were small."""


def tied_places(events: Sequence[BodyEvent]) -> list[list[int]]:
    """Operations, by position, in groups: those of two groups share no body, directly or by way of others."""
    root_of = tied(events)
    groups: dict[int, list[int]] = {}
    for place, event in enumerate(events):
        groups.setdefault(root_of(event.bodies[0]), []).append(place)
    return list(groups.values())


def read_some(
    bodies: Bodies, version: str, events: Sequence[BodyEvent], groups: Sequence[Sequence[int]]
) -> tuple[int, dict[int, LabelIndex]]:
    """How many groups of operations, from the first one on, are made together; and the indices of their
    bodies, as far as these exist.

    Args:
        groups: of positions among the events.
    """
    found: dict[int, LabelIndex] = {}
    count = blocks = 0
    at_once = _FIRST
    while count < len(groups) and blocks < BLOCKS_HELD:
        labels: set[int] = set()
        while count < len(groups) and len(labels) < at_once:
            labels.update(label for place in groups[count] for label in events[place].bodies)
            count += 1
        read = _read(bodies, version, sorted(labels))
        found |= read
        size = sum(len(index.blocks) for index in read.values())
        blocks += size
        if size * _FASTER < BLOCKS_HELD - blocks:
            at_once = min(at_once * _FASTER, _SIDE_BY_SIDE * INDICES_AT_ONCE)
    return count, found


def _read(bodies: Bodies, version: str, labels: Sequence[int]) -> dict[int, LabelIndex]:
    def read(start: int) -> list[tuple[int, LabelIndex]]:
        some = bodies.destination.indices(version, labels[start : start + each])
        return [(label, index) for label, index in some if index.blocks]

    each = min(INDICES_AT_ONCE, max(1, -(-len(labels) // _SIDE_BY_SIDE)))
    parts = bodies.pool.map(read, range(0, len(labels), each))
    return {label: index for found in parts for label, index in found}
