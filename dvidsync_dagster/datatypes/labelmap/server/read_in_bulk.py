"""A look at many bodies: their last changes are read in bulk.

A run that died while it made bodies in bulk has written the mapping and perhaps not the indices (see
`bulk`). The indices tell how far a body is, so the mapping is made to agree with them first.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from dvidsync_dagster.datatypes.labelmap.changed_indices import grouped, supervoxels_of
from dvidsync_dagster.datatypes.labelmap.events import BodyEvent
from dvidsync_dagster.dvid.labelmap import Labelmap, LastMod
from dvidsync_dagster.dvid.proto.labelmap_pb2 import LabelIndex
from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.refusal_reason import NOT_HERE

REST_LOOKS = 30

LastMods = Mapping[tuple[str, int], LastMod | None]
"""By version and label; None if there is no such body."""


@dataclass(frozen=True, slots=True)
class KnownBodies(Labelmap):
    """Asks the server only for what was not read before."""

    read: LastMods = field(default_factory=dict)

    def last_mod(self, version: str, label: int) -> LastMod | None:
        if (version, label) in self.read:
            return self.read[version, label]
        return Labelmap.last_mod(self, version, label)


def known_bodies(labelmap: Labelmap, events: Iterable[object], rest_seconds: float) -> KnownBodies:
    """The labelmap with the last changes of all bodies that events touch.

    Args:
        rest_seconds: where something was to be mended, the server may still be at work on what a run that
            died has asked for: read again after so many seconds, until nothing has changed.
    """
    wanted = list(events)
    found, mended = read_and_mend(labelmap, wanted)
    for _ in range(REST_LOOKS):
        if not mended:
            break
        time.sleep(rest_seconds)
        found, mended = read_and_mend(labelmap, wanted)
    return KnownBodies(labelmap.client, labelmap.name, found)


def read_and_mend(labelmap: Labelmap, events: Iterable[object]) -> tuple[LastMods, bool]:
    """The last changes of all bodies that events touch, and whether their mapping had to be made to agree
    with their indices."""
    wanted: dict[str, set[int]] = {}
    for event in events:
        if isinstance(event, BodyEvent):
            wanted.setdefault(event.version, set()).update(label for label in event.bodies if label)
    found: dict[tuple[str, int], LastMod | None] = {}
    mended = False
    for version, labels in wanted.items():
        try:
            read, wrong = _read_version(labelmap, version, labels)
            found |= read
            mended |= wrong
        except RequestRefused as refusal:
            if refusal.reason not in NOT_HERE:
                raise
    return found, mended


def last_mods(labelmap: Labelmap, version: str, labels: Sequence[int]) -> dict[int, LastMod | None]:
    """The last changes of many bodies of a version; None for one that is not there."""
    found = labelmap.indices(version, labels)
    return {label: _last_mod(index) if index.blocks else None for label, index in found}


def _last_mod(index: LabelIndex) -> LastMod:
    return LastMod(index.last_mutid, index.last_mod_user, index.last_mod_app, index.last_mod_time)


def _read_version(
    labelmap: Labelmap, version: str, labels: set[int]
) -> tuple[dict[tuple[str, int], LastMod | None], bool]:
    found: dict[tuple[str, int], LastMod | None] = {}
    homes: dict[int, int] = {}
    twice: set[int] = set()
    for label, index in labelmap.indices(version, sorted(labels)):
        if not index.blocks:
            found[version, label] = None
            continue
        found[version, label] = _last_mod(index)
        supervoxels = supervoxels_of(index)
        twice |= supervoxels & homes.keys()
        homes.update(dict.fromkeys(supervoxels, label))
    asked = sorted(homes.keys() - twice)
    mapped = labelmap.mapping(version, asked) if asked else []
    wrong = {
        supervoxel: homes[supervoxel]
        for supervoxel, body in zip(asked, mapped, strict=True)
        if body != homes[supervoxel]
    }
    if wrong:
        labelmap.map_supervoxels(version, dict(grouped(wrong)))
    return found, bool(wrong)
