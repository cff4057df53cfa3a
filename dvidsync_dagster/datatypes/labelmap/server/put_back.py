"""Whether bodies that people changed end as the source has them all the same.

People can have put back what they did: then only the last change of a body is theirs. Or they have done what
the source did. That shows in what comes of it: after the operations at hand, or without them, all bodies that
belong together are those of the source now. So it does not show while the source's people work on them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from dvidsync_dagster.datatypes.labelmap.changed_indices import supervoxels_of, tied
from dvidsync_dagster.datatypes.labelmap.events import BodyEvent, Split, SplitSupervoxel
from dvidsync_dagster.datatypes.labelmap.net_change import do_all
from dvidsync_dagster.datatypes.labelmap.server.batch_look import Findings
from dvidsync_dagster.datatypes.labelmap.server.bodies import Bodies
from dvidsync_dagster.datatypes.labelmap.server.bulk import net_change, whole
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.plan.outcome import Refusal
from dvidsync_dagster.refusal_reason import RefusalReason


def without_what_ends_as_at_the_source(
    refused: Mapping[int, Refusal], bodies: Bodies, version: str, events: Sequence[BodyEvent]
) -> Findings:
    """Those of the refused operations that stay refused; and operations that nothing is to be done for.

    Args:
        refused: operations (by position) whose bodies are not as the source had them.
        events: all at hand of this version, in their order.
    """
    root_of = tied(events)
    together: dict[int, list[int]] = {}
    for place, event in enumerate(events):
        together.setdefault(root_of(event.bodies[0]), []).append(place)
    left = dict(refused)
    present: set[int] = set()
    for places in together.values():
        reasons = {refused[place].reason for place in places if place in refused}
        if not reasons:
            continue
        own = [events[place] for place in places]
        ends = _Ends(bodies, version, own)
        if ends.is_there:
            present.update(places)
        # A label that the destination gave itself must not be given again.
        elif RefusalReason.LABEL_EXISTS in reasons or not ends.is_reached():
            continue
        for place in places:
            left.pop(place, None)
    return Findings(left, frozenset(present))


class _Ends:
    """Bodies that belong together on both sides, and operations on them."""

    def __init__(self, bodies: Bodies, version: str, events: Sequence[BodyEvent]) -> None:
        self._bodies = bodies
        self._version = version
        self._events = [whole(event, bodies) for event in events]
        labels = sorted({label for event in events for label in event.bodies if label})
        self._here = _Parts(bodies.destination, version, labels)
        self._there = _Parts(bodies.source, version, labels)

    @property
    def is_there(self) -> bool:
        """Whether the destination is already as the source."""
        return self._comparable and self._here.bodies == self._there.bodies

    def is_reached(self) -> bool:
        """Whether the operations can be done, and lead there."""
        if not self._comparable:
            return False
        before = {label: set(supervoxels) for label, supervoxels in self._here.bodies.items()}
        net = net_change(before, self._bodies, self._version, self._events)
        return not do_all(net, self._events).refused and _existing(net.bodies) == self._there.bodies

    @property
    def _comparable(self) -> bool:
        """Splits change voxels; a supervoxel of one id can be another one after splits on both sides."""
        split = any(isinstance(event, Split | SplitSupervoxel) for event in self._events)
        return not split and self._here.is_sound and self._here.voxels == self._there.voxels


class _Parts:
    """The supervoxels of some bodies at one side, by body, and their voxels."""

    def __init__(self, labelmap: Labelmap, version: str, labels: Sequence[int]) -> None:
        self.bodies: dict[int, set[int]] = {}
        self.voxels: dict[int, int] = {}
        for label, index in labelmap.indices(version, labels):
            if index.blocks:
                self.bodies[label] = supervoxels_of(index)
            for block in index.blocks:
                for entry in block.value.counts:
                    self.voxels[entry.key] = self.voxels.get(entry.key, 0) + entry.value

    @property
    def is_sound(self) -> bool:
        """Whether no supervoxel is in two of the bodies."""
        return sum(map(len, self.bodies.values())) == len(self.voxels)


def _existing(bodies: Mapping[int, Collection[int]]) -> dict[int, Collection[int]]:
    return {label: supervoxels for label, supervoxels in bodies.items() if supervoxels}
