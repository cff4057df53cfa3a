"""Labels that nobody has: a cleave overwrites whatever has the label that it gets."""

from __future__ import annotations

from dvidsync_dagster.datatypes.labelmap.counter_rule import HIGHEST_GIVEN
from dvidsync_dagster.dvid.labelmap import Labelmap

FREE_ASKED = 1000
"""How many labels are looked at together."""


class FreeLabels:
    """Which labels nobody has in a version, asked for many at once.

    Args:
        labelmap: the destination's instance.
        room: how many labels must be free together, at most `FREE_ASKED`: others may take some of them before
            the one that was looked for is given.
    """

    def __init__(self, labelmap: Labelmap, room: int = 1) -> None:
        self._labelmap = labelmap
        self._room = room
        self._free: dict[str, range] = {}

    def first(self, version: str, label: int) -> int:
        """The first label from `label` on that is free with those after it."""
        while label <= HIGHEST_GIVEN and not self._is_known(version, label):
            asked = range(label, min(label + FREE_ASKED, HIGHEST_GIVEN + 1))
            taken = self._labelmap.taken(version, asked)
            begins, ends = [label, *(each + 1 for each in taken)], [*taken, asked.stop]
            stretches = [range(*each) for each in zip(begins, ends, strict=True)]
            wide = (each for each in stretches if len(each) >= self._room)
            self._free[version] = next(wide, stretches[-1])
            label = self._free[version].start
        return label

    def take(self, *labels: int) -> None:
        """In whatever version: what was known of them is no longer so."""
        for version, free in list(self._free.items()):
            inside = [label for label in labels if label in free]
            if inside:
                self._free[version] = range(max(inside) + 1, free.stop)

    def _is_known(self, version: str, label: int) -> bool:
        free = self._free.get(version, range(0))
        return label in free and (free.stop - label >= self._room or free.stop > HIGHEST_GIVEN)
