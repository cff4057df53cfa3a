"""Supervoxels into the index of the body that the mapping says, and out of others."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable

from dvidsync_dagster.datatypes.labelmap.server.bodies import Bodies
from dvidsync_dagster.datatypes.labelmap.server.commands import DropFromIndex, Signature, TakeIntoIndex
from dvidsync_dagster.dvid import protobuf
from dvidsync_dagster.dvid.proto.labelmap_pb2 import LabelIndex
from dvidsync_dagster.dvid.times import index_time
from dvidsync_dagster.plan.outcome import DONE, PRESENT, Outcome


def take_into_index(bodies: Bodies, command: TakeIntoIndex) -> Outcome:
    """As other indices list them. What the body's own lists already stays."""
    labelmap, version = bodies.destination, command.version
    index = labelmap.index(version, command.body)
    blocks = {block.key: protobuf.counts_of(block) for block in index.blocks}
    listed = {each for counts in blocks.values() for each in counts}
    wanted: dict[tuple[str, int], set[int]] = {}
    for supervoxel, other, listed_in in command.parts:
        if supervoxel not in listed:
            wanted.setdefault((listed_in, other), set()).add(supervoxel)
    changed: set[int] = set()
    for where, supervoxels in wanted.items():
        for block in labelmap.index(*where).blocks:
            found = _only(protobuf.counts_of(block).items(), supervoxels)
            if found:
                blocks.setdefault(block.key, {}).update(found)
                changed.add(block.key)
    if not changed:
        return PRESENT
    _put(bodies, command, index, blocks, changed)
    return DONE


def drop_from_index(bodies: Bodies, command: DropFromIndex) -> Outcome:
    """An index that lists nothing else is deleted, and with it the body."""
    index = bodies.destination.index(command.version, command.body)
    gone = set(command.supervoxels)
    blocks: dict[int, dict[int, int]] = {}
    changed: set[int] = set()
    for block in index.blocks:
        counts = protobuf.counts_of(block)
        staying = _only(counts.items(), counts.keys() - gone)
        if len(staying) < len(counts):
            changed.add(block.key)
        if staying:
            blocks[block.key] = staying
    if not changed:
        return PRESENT
    _put(bodies, command, index, blocks, changed)
    return DONE


def _only(counts: Iterable[tuple[int, int]], supervoxels: Collection[int]) -> dict[int, int]:
    return {each: voxels for each, voxels in counts if each in supervoxels}


def _put(
    bodies: Bodies,
    command: TakeIntoIndex | DropFromIndex,
    before: LabelIndex,
    blocks: dict[int, dict[int, int]],
    changed: Collection[int],
) -> None:
    """Write an index with these voxels by block and supervoxel."""
    index = LabelIndex(label=command.body)
    if blocks:
        sign(index, command.signature)
    surfaces = {block.key: block.value.surface_mutid for block in before.blocks}
    for number, counts in sorted(blocks.items()):
        block = index.blocks.add(key=number)
        protobuf.set_counts(block, counts)
        block.value.surface_mutid = index.last_mutid if number in changed else surfaces[number]
    bodies.destination.put_index_and_kept(command.version, index)


def sign(index: LabelIndex, signature: Signature) -> None:
    """As a change that is signed so."""
    index.last_mutid = signature.rank[1] if signature.rank is not None else 0
    index.last_mod_time = index_time(int(time.time()))
    index.last_mod_user = signature.user
    index.last_mod_app = signature.tagged_app
