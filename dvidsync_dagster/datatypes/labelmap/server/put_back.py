"""Whether bodies that people changed end as the source has them all the same.

People can have put back what they did: then only the last change of a body is theirs. Or they have done what
the source did. That shows in what comes of it: after the operations at hand, or without them, all bodies that
belong together are those of the source now. So it does not show while the source's people work on them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from dvidsync_dagster.datatypes.labelmap.changed_indices import tied
from dvidsync_dagster.datatypes.labelmap.events import BodyEvent, Split, SplitSupervoxel
from dvidsync_dagster.datatypes.labelmap.net_change import do_all
from dvidsync_dagster.datatypes.labelmap.server.batch_look import Findings
from dvidsync_dagster.datatypes.labelmap.server.bodies import Bodies
from dvidsync_dagster.datatypes.labelmap.server.bulk import net_change, whole
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.plan.outcome import Refusal
from dvidsync_dagster.refusal_reason import RefusalReason

_Parts = Mapping[int, Mapping[int, int]]
"""By body and supervoxel how many voxels it has."""


def without_what_ends_as_at_the_source(
    refused: Mapping[int, Refusal], bodies: Bodies, version: str, events: Sequence[BodyEvent]
) -> Findings:
    """Those of the refused operations that stay refused; and operations that nothing is to be done for.

    Args:
        refused: operations (by position) whose bodies are not as the source had them.
        events: all at hand of this version, in their order.
    """
    root_of = tied(events)
    together: dict[int, list[int]] = {root_of(events[place].bodies[0]): [] for place in refused}
    for place, event in enumerate(events):
        if (root := root_of(event.bodies[0])) in together:
            together[root].append(place)
    asked = sorted({label for own in together.values() for place in own for label in events[place].bodies})
    here, there = (_parts(side, version, asked) for side in (bodies.destination, bodies.source))
    left = dict(refused)
    present: set[int] = set()
    for places in together.values():
        own = [events[place] for place in places]
        before, after = (_of(own, side) for side in (here, there))
        gave = any(left[place].reason is RefusalReason.LABEL_EXISTS for place in places if place in left)
        if any(isinstance(event, Split | SplitSupervoxel) for event in own):
            continue  # they change voxels
        if before == after:
            present.update(places)
        elif gave or not _leads(own, bodies, version, before, after):
            continue  # a label that the destination gave itself must not be given again
        for place in places:
            left.pop(place, None)
    return Findings(left, frozenset(present))


def _parts(labelmap: Labelmap, version: str, labels: Sequence[int]) -> _Parts:
    found: dict[int, dict[int, int]] = {}
    for label, index in labelmap.indices(version, [label for label in labels if label]):
        for block in index.blocks:
            parts = found.setdefault(label, {})
            for entry in block.value.counts:
                parts[entry.key] = parts.get(entry.key, 0) + entry.value
    return found


def _of(events: Sequence[BodyEvent], parts: _Parts) -> _Parts:
    return {label: parts[label] for event in events for label in event.bodies if label in parts}


def _voxels(parts: _Parts) -> list[tuple[int, int]]:
    """Of all supervoxels. Those of one id need not be the same, after splits on both sides."""
    return sorted(each for supervoxels in parts.values() for each in supervoxels.items())


def _leads(events: Sequence[BodyEvent], bodies: Bodies, version: str, before: _Parts, after: _Parts) -> bool:
    """Whether the operations can be done, and lead from one state of their bodies to the other."""
    if _voxels(before) != _voxels(after):
        return False
    whole_events = [whole(event, bodies) for event in events]
    net = net_change(_sets(before), bodies, version, whole_events)
    if do_all(net, whole_events).refused:
        return False
    return {label: each for label, each in net.bodies.items() if each} == _sets(after)


def _sets(parts: Mapping[int, Collection[int]]) -> dict[int, set[int]]:
    return {label: set(supervoxels) for label, supervoxels in parts.items()}
