"""What events touch: the items that can differ because of them. Each data type fills it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dvidsync_dagster.differences.findings import Difference, DifferenceKind
from dvidsync_dagster.differences.items import Found

InstanceVersion = tuple[str, str]
"""Instance and version."""

_BY_COUNTER = (DifferenceKind.COUNTER, DifferenceKind.HIGHEST_ID)


@dataclass
class Touched:
    """What some events touch.

    Args:
        versions: whose making, state, note or log they tell of.
        instances: that they make.
        counters: instances whose counter of ids they may move.
        items: by their keys.
        tied_to: keys of items that are gone or elsewhere now: what is tied to them changes, too.
        derived: where items change that others are derived from.
        whole: where it cannot be told what they touch.
    """

    versions: set[str] = field(default_factory=set)
    instances: set[str] = field(default_factory=set)
    counters: set[str] = field(default_factory=set)
    items: dict[InstanceVersion, set[Hashable]] = field(default_factory=dict)
    tied_to: dict[InstanceVersion, set[Hashable]] = field(default_factory=dict)
    derived: set[InstanceVersion] = field(default_factory=set)
    whole: set[InstanceVersion] = field(default_factory=set)

    def add_items(self, instance: str, version: str, keys: Iterable[Hashable]) -> None:
        """Note that items are touched."""
        self.items.setdefault((instance, version), set()).update(keys)

    def add_tied_to(self, instance: str, version: str, keys: Iterable[Hashable]) -> None:
        """Note that what is tied to these items is touched."""
        self.tied_to.setdefault((instance, version), set()).update(keys)

    def explains(self, row: Difference) -> bool:
        """Whether a difference of the whole repo, a version, an instance or a counter can come of them."""
        if row.kind is DifferenceKind.UNREADABLE:
            return False
        if row.kind in _BY_COUNTER:
            return row.instance in self.counters
        return row.instance in self.instances if row.instance else row.version in self.versions

    def changes(self, version: str) -> bool:
        """Whether they touch any item of a version."""
        return any(touched == version and keys for (_, touched), keys in self.items.items())

    def among(self, found: Found, instance: str, versions: Collection[str]) -> npt.NDArray[np.bool_]:
        """Which of the items can differ because of them.

        Args:
            versions: that of the items, and those that it comes from: what changes there shows in it.
        """
        places = [(instance, version) for version in versions]
        everything = self.derived if found.kind.is_derived else self.whole
        if not everything.isdisjoint(places):
            return np.ones(len(found), bool)
        items = set[Hashable]().union(*(self.items.get(place, ()) for place in places))
        if not items:
            return np.zeros(len(found), bool)
        columns: list[Iterable[Hashable]] = [found.keys.tolist()]
        if found.kind.touched_by_value:
            columns += [found.source.tolist(), found.destination.tolist()]
        masks = [np.fromiter((key in items for key in column), bool, len(found)) for column in columns]
        touched: npt.NDArray[np.bool_] = np.logical_or.reduce(masks)
        return touched

    def ends(self, instance: str, versions: Collection[str]) -> set[Hashable]:
        """The keys in `tied_to` of these versions."""
        return set[Hashable]().union(*(self.tied_to.get((instance, version), ()) for version in versions))
