"""What the messages of label operations leave to the source: long lists, and how many voxels there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from dvidsync_dagster.datatypes.labelmap.blobs import cleaved_supervoxels, split_volume
from dvidsync_dagster.datatypes.labelmap.events import BodyEvent, Cleave, Split
from dvidsync_dagster.dvid import sparsevol
from dvidsync_dagster.dvid.labelmap import Labelmap


def completed(events: Iterable[BodyEvent], source: Labelmap) -> list[BodyEvent]:
    """The events with what their messages leave to the source: the supervoxels of large cleaves and the
    voxels of splits, from blobs; the voxels of a cleave whose message does not tell them, from the sizes of
    its supervoxels. These do not change unless a supervoxel is split, and then the voxels stay None.

    Raises:
        ServerError: the source does not answer, or a blob is not what it should be.
    """
    told = [_from_blob(event, source) for event in events]
    sizes = _sizes(told, source)
    return [_from_sizes(event, sizes) for event in told] if sizes else told


def _from_blob(event: BodyEvent, source: Labelmap) -> BodyEvent:
    match event:
        case Cleave(supervoxels=None):
            return replace(event, supervoxels=cleaved_supervoxels(event, source))
        case Split(voxels=None):
            runs = split_volume(event.version, event.target, event.volume, source)
            return replace(event, voxels=sparsevol.voxels(runs))
    return event


def _sizes(events: Sequence[BodyEvent], source: Labelmap) -> dict[str, Mapping[int, int]]:
    """The voxels of the supervoxels that cleaves without sizes name, by version."""
    asked: dict[str, set[int]] = defaultdict(set)
    for event in events:
        if isinstance(event, Cleave) and event.cleaved_voxels is None:
            asked[event.version].update(event.supervoxels or ())
    return {
        version: dict(
            zip(sorted(some), source.sizes(version, sorted(some), of_supervoxels=True), strict=True)
        )
        for version, some in asked.items()
    }


def _from_sizes(event: BodyEvent, sizes: Mapping[str, Mapping[int, int]]) -> BodyEvent:
    if not isinstance(event, Cleave) or event.cleaved_voxels is not None:
        return event
    own = [sizes[event.version][each] for each in event.supervoxels or ()]
    return replace(event, cleaved_voxels=sum(own)) if all(own) else event
