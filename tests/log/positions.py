"""Which offsets positions call applied: the plain meaning that the tests compare with."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st

from dvidsync_dagster.log.checkpoint import PartitionPosition


def applied(position: PartitionPosition, end: int) -> set[int]:
    """The offsets below `end` that a position calls applied."""
    offsets = set(range(min(position.next, end)))
    for first, last in position.beyond:
        offsets |= set(range(first, min(last, end)))
    return offsets


def is_tidy(position: PartitionPosition) -> bool:
    """Ranges ascend, none is empty, none touches another."""
    edges = [position.next, *(edge for pair in position.beyond for edge in pair)]
    return all(low < high for low, high in pairwise(edges))


@st.composite
def partition_positions(draw: st.DrawFn, largest: int = 60) -> PartitionPosition:
    edges = sorted(draw(st.sets(st.integers(0, largest), min_size=1, max_size=9)))
    if len(edges) % 2 == 0:
        edges.pop()
    pairs = list(zip(edges[1::2], edges[2::2], strict=True))
    return PartitionPosition(edges[0], tuple(pairs))
