"""The parts of a supervoxel that people split, joined again.

First the voxels, then the indices, and at last the mapping: until that is done parts are still mapped, so
that a repair which was interrupted is done again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from dvidsync_dagster.datatypes.labelmap.server.blocks_of import at_scale, points_of, with_any
from dvidsync_dagster.datatypes.labelmap.server.bodies import Bodies
from dvidsync_dagster.datatypes.labelmap.server.commands import JoinSupervoxels, Signature
from dvidsync_dagster.datatypes.labelmap.server.placing import sign
from dvidsync_dagster.dvid import protobuf
from dvidsync_dagster.dvid.label_blocks import BlockPoint, LabelBlock
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.proto.labelmap_pb2 import LabelIndex
from dvidsync_dagster.plan.outcome import DONE, Outcome, refused


def join(bodies: Bodies, command: JoinSupervoxels) -> Outcome:
    """In voxels at all resolutions, indices and mapping. Refused where a part is no longer in the bodies that
    the command names, or the whole is in use beside it."""
    labelmap, version = bodies.destination, command.version
    signed = {command.body: command.signature, **dict(command.others)}
    indices = _indices(labelmap, version, signed)
    changed = _changed_meanwhile(labelmap, command, indices)
    if changed is not None:
        return refused(changed)
    points = points_of(indices.values(), command.parts)
    for scale in range(labelmap.max_scale(version) + 1):
        for some in at_scale(points, scale):
            written = _joined_blocks(bodies, command, some, scale)
            if written:
                labelmap.put_blocks(version, written, scale)
    # Voxels take long: somebody may have changed these bodies meanwhile.
    indices = _indices(labelmap, version, signed)
    changed = _changed_meanwhile(labelmap, command, indices)
    if changed is not None:
        return refused(changed)
    for index in _joined_indices(indices, command, signed):
        labelmap.put_index_and_kept(version, index)
    labelmap.map_supervoxels(version, {command.body: [command.whole], 0: command.parts})
    return DONE


def _indices(labelmap: Labelmap, version: str, bodies: Iterable[int]) -> dict[int, LabelIndex]:
    return {body: labelmap.index(version, body) for body in bodies}


def _changed_meanwhile(
    labelmap: Labelmap, command: JoinSupervoxels, indices: Mapping[int, LabelIndex]
) -> str | None:
    home, *homes = labelmap.mapping(command.version, [command.whole, *command.parts])
    if home == command.body and not any(homes):
        # In a parent they were joined already, and this version has an index of its own.
        return None
    listed = any(with_any(index, command.parts) for index in indices.values())
    # A server that was killed while it mapped them has the whole in its body, and parts without voxels.
    if not set(homes) <= indices.keys() or home not in (0, command.body) or (home and listed):
        parts = ", ".join(map(str, command.parts))
        return f"the parts {parts} of supervoxel {command.whole} were changed meanwhile: repair again"
    return None


def _joined_blocks(
    bodies: Bodies, command: JoinSupervoxels, points: list[BlockPoint], scale: int
) -> list[LabelBlock]:
    """At lower resolutions the source's, where these show the same supervoxels: which of them a voxel shows
    there was decided anew by the split. Else somebody has painted there."""
    version, names = command.version, dict.fromkeys(command.parts, command.whole)
    there = bodies.destination.blocks(version, points, scale)
    changed = [block.renamed(names) for block in there if not names.keys().isdisjoint(block.labels)]
    if not scale or not changed:
        return changed
    found = bodies.source.blocks(version, [block.point for block in changed], scale)
    sources = {block.point: block for block in found}
    return [
        here if here is not None and set(here.labels) == set(block.labels) else block
        for block in changed
        for here in (sources.get(block.point),)
    ]


def _joined_indices(
    indices: dict[int, LabelIndex], command: JoinSupervoxels, signed: dict[int, Signature]
) -> Iterator[LabelIndex]:
    """That of the whole's body first; one that lists nothing else is deleted, and with it the body."""
    moved: dict[int, int] = {}
    for index in indices.values():
        for block in index.blocks:
            counts = protobuf.counts_of(block)
            voxels = sum(counts.get(part, 0) for part in command.parts)
            if voxels:
                moved[block.key] = moved.get(block.key, 0) + voxels
    if not moved:
        return
    for body, index in indices.items():
        if body != command.body and not with_any(index, command.parts):
            continue
        blocks = {block.key: (protobuf.counts_of(block), block.value.surface_mutid) for block in index.blocks}
        keys = blocks.keys() | moved.keys() if body == command.body else blocks.keys()
        changed = LabelIndex(label=body)
        sign(changed, signed[body])
        for key in sorted(keys):
            counts, surface = blocks.get(key, ({}, 0))
            kept = _without(counts, command.parts)
            if body == command.body and key in moved:
                # Where the whole stands already, a join that was interrupted has counted all parts.
                kept.setdefault(command.whole, moved[key])
            if kept:
                block = changed.blocks.add(key=key)
                protobuf.set_counts(block, kept)
                block.value.surface_mutid = changed.last_mutid if key in moved else surface
        yield changed if changed.blocks else LabelIndex(label=body)


def _without(counts: dict[int, int], parts: Collection[int]) -> dict[int, int]:
    return {supervoxel: voxels for supervoxel, voxels in counts.items() if supervoxel not in parts}
