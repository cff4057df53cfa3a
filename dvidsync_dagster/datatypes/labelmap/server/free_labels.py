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
    """

    def __init__(self, labelmap: Labelmap) -> None:
        self._labelmap = labelmap
        self._free: dict[str, range] = {}

    def has(self, version: str, label: int) -> bool:
        if label not in self._free.get(version, ()):
            asked = range(label, min(label + FREE_ASKED, HIGHEST_GIVEN + 1))
            taken = self._labelmap.taken(version, asked)
            self._free[version] = range(label, min(taken, default=asked.stop))
        return label in self._free[version]

    def take(self, *labels: int) -> None:
        """In whatever version: what was known of them is no longer so."""
        for version, free in list(self._free.items()):
            inside = [label for label in labels if label in free]
            if inside:
                self._free[version] = range(max(inside) + 1, free.stop)
