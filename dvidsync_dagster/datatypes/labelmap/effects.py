"""What labelmap events do to bodies, as rows: the body of each supervoxel."""

from __future__ import annotations

from collections.abc import Collection

from dvidsync_dagster.datatypes.contract import Rows
from dvidsync_dagster.datatypes.labelmap.events import (
    BodyEvent,
    Cleave,
    LabelEvent,
    Merge,
    Renumber,
    Split,
    SplitSupervoxel,
)
from dvidsync_dagster.plan.claims import Key

SUPERVOXEL = "supervoxel"


def row_of(event: LabelEvent, supervoxel: int) -> Key:
    return (SUPERVOXEL, event.instance, event.version, supervoxel)


def apply(event: LabelEvent, rows: Rows) -> None:
    """Change the rows as an event changed the bodies. A cleave that leaves its supervoxels to a blob at the
    source is refused with ValueError; what only moves a counter changes no row."""
    match event:
        case Merge():
            _move(event, rows, event.labels, event.target)
        case Renumber():
            _move(event, rows, (event.orig,), event.new)
        case Cleave() if event.supervoxels is None:
            raise ValueError(f"cleave {event.mutation_id}: its supervoxels are in blob {event.data_ref}")
        case Cleave():
            for supervoxel in event.supervoxels or ():
                rows[row_of(event, supervoxel)] = event.new
        case SplitSupervoxel() | Split():
            body = event.new if isinstance(event, Split) else event.body
            for supervoxel, half, remain in event.parts:
                rows[row_of(event, remain)] = rows.pop(row_of(event, supervoxel), event.survivors[0])
                rows[row_of(event, half)] = body


def _move(event: BodyEvent, rows: Rows, labels: Collection[int], body: int) -> None:
    for key, was in list(rows.items()):
        if key[:3] == (SUPERVOXEL, event.instance, event.version) and was in labels:
            rows[key] = body
