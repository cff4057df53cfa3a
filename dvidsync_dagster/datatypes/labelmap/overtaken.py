"""Has a destination operations that its checkpoint does not know of?

A checkpoint can be set back, with the folder in which Dagster keeps it. The bodies of the operations that
come after it may be gone at the destination by then. But their voxels are in some body, and the tag of its
last change tells of an operation that is past the checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dvidsync_dagster.datatypes.labelmap.messages import BodyMutation, Cleave, Split
from dvidsync_dagster.datatypes.labelmap.tags import rank_of
from dvidsync_dagster.dvid.answer import is_absent
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.errors import RequestRefused

_PARTS = 10
"""Supervoxels of one operation that are looked for."""


def is_past(mutations: Iterable[BodyMutation], labelmap: Labelmap, applied: tuple[int, int]) -> bool:
    """Whether a body that holds voxels of these operations was changed by an operation past `applied`.

    Args:
        mutations: of one instance.
        labelmap: the destination's.
        applied: era and mutation id of the last operation that is known to be applied.
    """
    wanted: dict[str, set[int]] = {}
    for mutation in mutations:
        wanted.setdefault(mutation.version, set()).update(_supervoxels(mutation))
    for version, supervoxels in wanted.items():
        try:
            homes = set(labelmap.mapping(version, sorted(supervoxels))) - {0}
        except RequestRefused as refusal:
            if not is_absent(refusal):
                raise
            continue
        for home in sorted(homes):
            last = labelmap.last_mod(version, home)
            rank = rank_of(last.app) if last is not None else None
            if rank is not None and rank > applied:
                return True
    return False


def _supervoxels(mutation: BodyMutation) -> Iterator[int]:
    """Some that the operation may have moved. The first supervoxel of a body has its label."""
    yield from (label for label in mutation.bodies[:_PARTS] if label)
    if isinstance(mutation, Cleave):
        yield from (mutation.supervoxels or ())[:_PARTS]
    elif isinstance(mutation, Split):
        yield from (part for _, part, _ in mutation.parts[:_PARTS])
