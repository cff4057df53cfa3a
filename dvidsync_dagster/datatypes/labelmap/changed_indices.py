"""From the indices of bodies before operations to those after them. Pure.

An index holds the voxels of each supervoxel in each block. Operations move supervoxels from one index to
another, and never change their voxels (splits, which do, are done before).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from dvidsync_dagster.datatypes.labelmap.events import BodyEvent
from dvidsync_dagster.datatypes.labelmap.net_change import NetChange
from dvidsync_dagster.dvid.proto.labelmap_pb2 import LabelIndex

Arrivals = dict[int, list[tuple[int, int]]]
"""By block: supervoxels with their voxels there."""

Sign = Callable[[LabelIndex, BodyEvent], None]
"""Writes into an index who changed the body last."""


def supervoxels_of(index: LabelIndex) -> set[int]:
    return {entry.key for block in index.blocks for entry in block.value.counts}


@dataclass
class ChangedIndices:
    """
    Args:
        after: the indices of all bodies that were touched; without blocks where the body is gone.
        gained, lost: bodies that got supervoxels, or gave some away.
    """

    after: dict[int, LabelIndex] = field(default_factory=dict)
    gained: set[int] = field(default_factory=set)
    lost: set[int] = field(default_factory=set)


def changed_indices(before: dict[int, LabelIndex], net: NetChange, sign: Sign) -> ChangedIndices:
    """
    Args:
        before: by label, of all bodies that exist and are touched. They are changed, and used up.
        net: what became of these bodies.
    """
    changed = ChangedIndices()
    arrivals: dict[int, Arrivals] = {}
    for label, index in before.items():
        staying = net.bodies.get(label, set())
        mutation_id = net.last[label].mutation_id if label in net.last else 0
        if _give_away(index, staying, net, arrivals, mutation_id):
            changed.lost.add(label)
    for label in net.touched:
        if not net.bodies.get(label):
            if label in before:
                changed.after[label] = LabelIndex(label=label)
            continue
        index = before.get(label, LabelIndex(label=label))
        last = net.last[label]
        if label in arrivals:
            _take_in(index, arrivals[label], last.mutation_id)
            changed.gained.add(label)
        sign(index, last)
        changed.after[label] = index
    return changed


def _give_away(
    index: LabelIndex,
    staying: Collection[int],
    net: NetChange,
    arrivals: dict[int, Arrivals],
    mutation_id: int,
) -> bool:
    """Take out of an index what does not stay, and keep it for the bodies that get it."""
    gone = False
    kept = []
    for block in index.blocks:
        leaving = [(each.key, each.value) for each in block.value.counts if each.key not in staying]
        if leaving:
            gone = True
            for supervoxel, voxels in leaving:
                body = _home(supervoxel, net)
                arrivals.setdefault(body, {}).setdefault(block.key, []).append((supervoxel, voxels))
            if len(leaving) == len(block.value.counts):
                continue
            remaining = [(each.key, each.value) for each in block.value.counts if each.key in staying]
            del block.value.counts[:]
            _add(block, remaining, mutation_id)
        kept.append(block)
    if len(kept) < len(index.blocks):
        blocks = [_copied(block) for block in kept]
        del index.blocks[:]
        index.blocks.extend(blocks)
    return gone


def _copied(block: LabelIndex.Block) -> LabelIndex.Block:
    copy = LabelIndex.Block()
    copy.CopyFrom(block)
    return copy


def _take_in(index: LabelIndex, arrivals: Arrivals, mutation_id: int) -> None:
    for block in index.blocks:
        _add(block, arrivals.pop(block.key, ()), mutation_id)
    for number, supervoxels in arrivals.items():
        _add(index.blocks.add(key=number), supervoxels, mutation_id)


def _add(block: LabelIndex.Block, supervoxels: Iterable[tuple[int, int]], mutation_id: int) -> None:
    for supervoxel, voxels in supervoxels:
        block.value.counts.add(key=supervoxel, value=voxels)
        block.value.surface_mutid = mutation_id


def _home(supervoxel: int, net: NetChange) -> int:
    body = net.mapping.get(supervoxel, 0)
    if supervoxel in net.bodies.get(body, ()):
        return body
    return next(label for label, supervoxels in net.bodies.items() if supervoxel in supervoxels)


def in_posting_order(changed: ChangedIndices, events: Iterable[BodyEvent]) -> Iterator[list[LabelIndex]]:
    """Groups of indices that belong into one request, each in the order in which it is written.

    Bodies that share an operation are one group. Those that only get supervoxels come first and those that
    are gone last: where a server dies in between, some supervoxel is in two bodies, which shows.
    """
    groups: dict[int, list[LabelIndex]] = {}
    root_of = tied(events)
    for label, index in changed.after.items():
        groups.setdefault(root_of(label), []).append(index)

    def turn(index: LabelIndex) -> tuple[int, int]:
        gained, lost = index.label in changed.gained, index.label in changed.lost
        if not index.blocks:
            return (4, index.label)
        return ((0 if not lost else 1) if gained else (3 if lost else 2), index.label)

    for group in groups.values():
        yield sorted(group, key=turn)


def tied(events: Iterable[BodyEvent]) -> Callable[[int], int]:
    """For each body one that stands for all that operations tie it to."""
    parent: dict[int, int] = {}

    def root(label: int) -> int:
        while (above := parent.setdefault(label, label)) != label:
            label = above
        return label

    for event in events:
        first, *others = event.bodies
        for label in others:
            parent[root(label)] = root(first)
    return root


def grouped(mapping: Mapping[int, int]) -> dict[int, list[int]]:
    """By body the supervoxels that are mapped to it."""
    groups: dict[int, list[int]] = {}
    for supervoxel, body in mapping.items():
        groups.setdefault(body, []).append(supervoxel)
    return groups
