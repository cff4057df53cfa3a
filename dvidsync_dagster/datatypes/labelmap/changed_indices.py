"""From the indices of bodies before operations to those after them. Pure.

An index holds the voxels of each supervoxel in each block. Operations move supervoxels from one index to
another, and never change their voxels (splits, which do, are done before).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from dvidsync_dagster.datatypes.labelmap.events import BodyEvent
from dvidsync_dagster.datatypes.labelmap.net_change import NetChange
from dvidsync_dagster.dvid.proto.labelmap_pb2 import LabelIndex

Block = LabelIndex.Block

Sign = Callable[[LabelIndex, BodyEvent], None]
"""Writes into an index who changed the body last."""


def supervoxels_of(index: LabelIndex) -> set[int]:
    return {entry.key for block in index.blocks for entry in block.value.counts}


@dataclass
class Tied:
    """What operations make of bodies that they tie together.

    Args:
        bodies: all that were touched, those that are gone included.
        mapping: of supervoxels that were moved, as in `NetChange`.
    """

    bodies: list[int] = field(default_factory=list)
    mapping: dict[int, int] = field(default_factory=dict)


def tied_bodies(net: NetChange, events: Iterable[BodyEvent]) -> list[Tied]:
    """The touched bodies in groups. Two bodies are in one group if operations connect them, directly or by
    way of other bodies."""
    found: dict[int, Tied] = {}
    root_of = tied(events)
    for label in net.touched:
        found.setdefault(root_of(label), Tied()).bodies.append(label)
    for supervoxel, body in net.mapping.items():
        # An id is mapped to 0 if it is no supervoxel: a cleave or a renumber gave it to a body as its label.
        found[root_of(body or supervoxel)].mapping[supervoxel] = body
    return list(found.values())


def changed_indices(
    labels: Collection[int], before: Mapping[int, LabelIndex], net: NetChange, sign: Sign
) -> list[LabelIndex]:
    """The indices of bodies that were touched, in the order in which they are written; without blocks where
    the body is gone.

    Those that only get supervoxels come first and those that are gone last: where a server dies in between,
    some supervoxel is in two bodies, which shows.

    Args:
        labels: of bodies that are tied together.
        before: by label, of all bodies that exist. They are changed, and used up.
        net: what became of these bodies.
    """
    arrivals: dict[int, list[Block]] = {}
    lost = {label for label in labels if label in before and _give_away(before[label], net, arrivals)}
    turns: list[tuple[int, int, LabelIndex]] = []
    for label in labels:
        if net.bodies.get(label):
            index = before[label] if label in before else LabelIndex(label=label)
            if label in arrivals:
                _take_in(index, arrivals[label], net.last[label].mutation_id)
            sign(index, net.last[label])
            gained = label in arrivals
            turn = (1 if label in lost else 0) if gained else (3 if label in lost else 2)
            turns.append((turn, label, index))
        elif label in before:
            turns.append((4, label, LabelIndex(label=label)))
    return [index for _, _, index in sorted(turns, key=lambda each: each[:2])]


def _give_away(index: LabelIndex, net: NetChange, arrivals: dict[int, list[Block]]) -> bool:
    """Take out of an index what does not stay, and keep it for the bodies that get it; False if all stays."""
    staying: Collection[int] = net.bodies.get(index.label, ())
    if not staying:
        homes = {_home(supervoxel, net) for supervoxel in supervoxels_of(index)}
        if len(homes) == 1:
            arrivals.setdefault(homes.pop(), []).extend(index.blocks)
            return True
    mutation_id = net.last[index.label].mutation_id if index.label in net.last else 0
    gone = False
    kept = []
    for block in index.blocks:
        leaving = [(each.key, each.value) for each in block.value.counts if each.key not in staying]
        if leaving:
            gone = True
            _share_out(block.key, leaving, net, arrivals)
            if len(leaving) == len(block.value.counts):
                continue
            remaining = [(each.key, each.value) for each in block.value.counts if each.key in staying]
            del block.value.counts[:]
            _add(block, remaining)
            block.value.surface_mutid = mutation_id
        kept.append(block)
    if len(kept) < len(index.blocks):
        blocks = [_copied(block) for block in kept]
        del index.blocks[:]
        index.blocks.extend(blocks)
    return gone


def _share_out(
    number: int, leaving: Iterable[tuple[int, int]], net: NetChange, arrivals: dict[int, list[Block]]
) -> None:
    """What leaves one block of a body, to the bodies that get it."""
    by_home: dict[int, Block] = {}
    for supervoxel, voxels in leaving:
        home = _home(supervoxel, net)
        if home not in by_home:
            by_home[home] = Block(key=number)
            arrivals.setdefault(home, []).append(by_home[home])
        _add(by_home[home], [(supervoxel, voxels)])


def _copied(block: Block) -> Block:
    copy = Block()
    copy.CopyFrom(block)
    return copy


def _take_in(index: LabelIndex, arrivals: Sequence[Block], mutation_id: int) -> None:
    own = {block.key: block for block in index.blocks}
    for block in arrivals:
        mine = own.get(block.key)
        if mine is None:
            index.blocks.append(block)
            mine = own[block.key] = index.blocks[-1]
        else:
            mine.value.counts.extend(block.value.counts)
        mine.value.surface_mutid = mutation_id


def _add(block: Block, supervoxels: Iterable[tuple[int, int]]) -> None:
    for supervoxel, voxels in supervoxels:
        block.value.counts.add(key=supervoxel, value=voxels)


def _home(supervoxel: int, net: NetChange) -> int:
    body = net.mapping.get(supervoxel, 0)
    if supervoxel in net.bodies.get(body, ()):
        return body
    return next(label for label, supervoxels in net.bodies.items() if supervoxel in supervoxels)


def tied(events: Iterable[BodyEvent]) -> Callable[[int], int]:
    """A function that gives the same label for all bodies which operations connect, directly or by way of
    others (union-find)."""
    parent: dict[int, int] = {}

    def root(label: int) -> int:
        while (above := parent.setdefault(label, label)) != label:
            # Path halving: who asks next takes half as many steps.
            parent[label] = label = parent[above]
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
