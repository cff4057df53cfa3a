"""Splitting supervoxels with the ids that the source gave their halves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dvidsync_dagster.datatypes.labelmap.blobs import split_volume
from dvidsync_dagster.datatypes.labelmap.server.bodies import Bodies, signed
from dvidsync_dagster.datatypes.labelmap.server.cleaving import cleave_off
from dvidsync_dagster.datatypes.labelmap.server.commands import SplitSupervoxels
from dvidsync_dagster.datatypes.labelmap.server.torn_split import TornSplit
from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.plan.outcome import DONE, Outcome, refused_by
from dvidsync_dagster.refusal_reason import RefusalReason

if TYPE_CHECKING:
    from dvidsync_dagster.dvid import sparsevol
    from dvidsync_dagster.dvid.labelmap import Labelmap

_TORN_SPLIT = (RefusalReason.SUPERVOXEL_SPLIT, RefusalReason.OUTSIDE_SUPERVOXEL)
"""Why a supervoxel split is refused that a killed server left half done."""


def split(bodies: Bodies, command: SplitSupervoxels, events: Sequence[Event]) -> Outcome:
    """Split each supervoxel, and cleave the split halves off if the source did. Whoever calls holds the
    counter's lock.

    The `split` endpoint picks ids of its own (docs/dvid.md, "Splits of a body"), so this is done by several
    requests. Each of them is judged alone, so that an interrupted one goes on where it was.
    """
    bodies.counter.make_room(command.version, command.ids)
    cuts = cuts_of(bodies, command)
    if command.new is None:
        for cut in cuts:
            found = _cut(bodies, command, cut)
            if found is not None:
                return bodies.refused(events, found)
        return DONE
    homes = bodies.destination.mapping(command.version, [cut.supervoxel for cut in cuts])
    for cut, body in zip(cuts, homes, strict=True):
        if body == 0:
            mend_cut(bodies, command, cut)
        elif (found := _cut(bodies, command, cut)) is not None:
            return refused_by(found)
    halves = tuple(cut.split for cut in cuts)
    return cleave_off(bodies, command, command.body, command.new, halves, events, doubtful=True)


def cuts_of(bodies: Bodies, command: SplitSupervoxels) -> list[TornSplit]:
    return [TornSplit(bodies.destination, command.version, command.body, *part) for part in command.parts]


def mend_cut(bodies: Bodies, command: SplitSupervoxels, cut: TornSplit) -> bool:
    """Do a split again that a killed server left half done; True if it was so."""
    if not cut.is_torn():
        return False
    cut.take_back()
    _post_cut(bodies, command, cut)
    bodies.tell_of_torn()
    return True


def _cut(bodies: Bodies, command: SplitSupervoxels, cut: TornSplit) -> RequestRefused | None:
    """Split one supervoxel; what the server refused it for, else None."""
    try:
        _post_cut(bodies, command, cut)
    except RequestRefused as refusal:
        bodies.counter.read_again(cut.version)
        if refusal.reason not in _TORN_SPLIT or not mend_cut(bodies, command, cut):
            return refusal
    return None


def _post_cut(bodies: Bodies, command: SplitSupervoxels, cut: TornSplit) -> None:
    from dvidsync_dagster.dvid import sparsevol  # few runs split, and its arrays take time to load

    if isinstance(command.volume, str):
        volume = split_volume(command.version, command.body, command.volume, bodies.source)
    else:
        volume = _voxels_now(command.version, command.volume, bodies.source)
    if command.new is not None or not isinstance(command.volume, str):
        # It reaches over several supervoxels, and each split takes its own voxels only. What the source has
        # now can have been painted since.
        whole = _voxels_now(command.version, (cut.supervoxel,), bodies.destination)
        volume = sparsevol.intersect(volume, whole)
    bodies.destination.split_supervoxel(
        command.version,
        cut.supervoxel,
        cut.split,
        cut.remain,
        sparsevol.request_body(volume),
        **signed(command),
    )
    bodies.counter.passed(cut.split, cut.remain)


def _voxels_now(version: str, supervoxels: Sequence[int], labelmap: Labelmap) -> sparsevol.Runs:
    """Raises ServerError."""
    import numpy as np

    from dvidsync_dagster.dvid import sparsevol

    where = f"{labelmap.name}: the voxels of supervoxel"
    return np.concatenate(
        [
            sparsevol.parse_runs(labelmap.sparsevol(version, each), f"{where} {each}", header=True)
            for each in supervoxels
        ]
    )
