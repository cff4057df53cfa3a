"""Which changes in a copied folder people made there before dvidsync met it.

Their numbers go on in the source's range, from where the copy was made, so a number tells nothing alone. But
a copy has all of the source's events up to some number, and none from there on. So whatever has no tag is the
destination's own from the lowest number on of an event that is not there, or of a last change that cannot be
the source's: its number is that of an event on other bodies, at another time, or that the bodies do not show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dvidsync_dagster.datatypes.labelmap.events import BodyEvent, Cleave, LabelEvent
from dvidsync_dagster.datatypes.labelmap.server.tags import rank_of
from dvidsync_dagster.dvid.labelmap import LastMod
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.dvid.times import line_time

LastMods = Mapping[tuple[str, int], LastMod | None]
"""By version and label."""

Homes = Callable[[str, Sequence[int]], Mapping[int, int]]
"""Asks in one version for the bodies of supervoxels, 0 for none."""

_CLOCK = 5_000_000_000
"""Nanoseconds. A body's time is in whole seconds, and a message's key may be some later."""


def copied_labelmaps(here: Mapping[str, Instance], there: Mapping[str, Instance]) -> frozenset[str]:
    """The source's labelmaps, by name, that are the same ones at the destination."""
    known = {each.data_uuid for each in there.values()}
    labelmaps = [each for each in here.values() if each.typename == LabelEvent.typename]
    return frozenset(each.name for each in labelmaps if each.data_uuid in known)


def first_own_number(
    events: Sequence[LabelEvent], lasts: LastMods, homes: Homes, *, era: int, below: int
) -> int | None:
    """From which number on all changes without a tag are the destination's own, as far as these events tell.

    Args:
        events: of one instance.
        lasts: of the bodies that they touch, and others.
        era: of the source's numbers when the destination was met.
        below: the number from which on they are known to be.
    """
    known = {
        event.mutation_id: event
        for event in events
        if isinstance(event, BodyEvent) and event.era == era and event.mutation_id < below
    }
    untagged = {where: last for where, last in lasts.items() if last and rank_of(last.app) is None}
    numbers = [number for number, event in known.items() if _is_missing(event, untagged)]
    for (_, label), last in untagged.items():
        event = known.get(last.mutation_id)
        if event is not None and not _may_be(event, label, last, homes):
            numbers.append(last.mutation_id)
    return min(numbers, default=None)


def _is_missing(event: BodyEvent, untagged: Mapping[tuple[str, int], LastMod]) -> bool:
    """Whether one of its bodies was not changed since before it: it would have ended or changed each."""
    lasts = (untagged.get((event.version, label)) for label in event.bodies)
    return any(last is not None and last.mutation_id < event.mutation_id for last in lasts)


def _may_be(event: BodyEvent, label: int, last: LastMod, homes: Homes) -> bool:
    """Whether an event can be the last change of a body."""
    changed = line_time(last.time)
    is_in_time = event.started_ns - _CLOCK <= changed <= event.origin.key_ns + _CLOCK
    if label not in event.survivors or (changed and not is_in_time):
        return False
    if isinstance(event, Cleave) and label == event.orig and event.supervoxels:
        # Nothing has changed the body since, so none of them can be back.
        return label not in homes(event.version, event.supervoxels).values()
    return True
