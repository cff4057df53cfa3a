"""Has a destination operations that its checkpoint does not know of?

A checkpoint can be set back, with the folder in which Dagster keeps it. The bodies of the operations that
come after it may be gone at the destination by then. But their voxels are in some body, and the tag of its
last change tells of an operation that is past the checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dvidsync_dagster.datatypes.labelmap.events import BodyEvent, Cleave, Split
from dvidsync_dagster.datatypes.labelmap.server.tags import rank_of
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.refusal_reason import NOT_HERE

_PARTS = 10
"""Supervoxels of one operation that are looked for."""


def is_past(events: Iterable[BodyEvent], labelmap: Labelmap, applied: tuple[int, int]) -> bool:
    """Whether a body that holds voxels of these operations was changed by an operation past `applied`.

    Args:
        events: of one instance.
        labelmap: the destination's.
        applied: era and mutation id of the last operation that is known to be applied.
    """
    wanted: dict[str, set[int]] = {}
    for event in events:
        wanted.setdefault(event.version, set()).update(_supervoxels(event))
    for version, supervoxels in wanted.items():
        try:
            homes = set(labelmap.mapping(version, sorted(supervoxels))) - {0}
        except RequestRefused as refusal:
            if refusal.reason not in NOT_HERE:
                raise
            continue
        for home in sorted(homes):
            last = labelmap.last_mod(version, home)
            rank = rank_of(last.app) if last is not None else None
            if rank is not None and rank > applied:
                return True
    return False


def _supervoxels(event: BodyEvent) -> Iterator[int]:
    """Some that the operation may have moved. The first supervoxel of a body has its label."""
    yield from (label for label in event.bodies[:_PARTS] if label)
    if isinstance(event, Cleave):
        yield from (event.supervoxels or ())[:_PARTS]
    elif isinstance(event, Split):
        yield from (part for _, part, _ in event.parts[:_PARTS])
