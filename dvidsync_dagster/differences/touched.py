"""What records of the log touch: the items that can differ because of them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dvidsync_dagster.datatypes.annotation import touched as elements
from dvidsync_dagster.datatypes.annotation.events import (
    DeleteElement,
    ElementEvent,
    MoveElement,
    PostBlocks,
    PostElements,
)
from dvidsync_dagster.datatypes.copied import DataEvent
from dvidsync_dagster.datatypes.decode import Decoded
from dvidsync_dagster.datatypes.keyvalue.writer import DeleteKey, PostKey
from dvidsync_dagster.datatypes.labelmap.events import Announcement, BodyEvent, Split, SplitSupervoxel
from dvidsync_dagster.datatypes.neuronjson.writer import PostNeuron
from dvidsync_dagster.datatypes.repo.writer import NewInstance, NewVersion
from dvidsync_dagster.differences.findings import Difference
from dvidsync_dagster.differences.items import Found

Place = tuple[str, str]
"""Instance and version."""

Blob = Callable[[PostElements | PostBlocks], bytes | None]
"""What was posted, by the source's blob store; None if it does not say."""


@dataclass
class Touched:
    """What some records touch.

    Args:
        versions: whose making, state, note or log they tell of.
        instances: that they make.
        counters: labelmaps whose label counter they may move.
        items: labels, keys, neurons, schemas, positions.
        cut_off: positions of elements that were deleted or moved: the relations to them change too.
        voxels: where they split supervoxels.
        whole: where it cannot be told what they touch.
    """

    versions: set[str] = field(default_factory=set)
    instances: set[str] = field(default_factory=set)
    counters: set[str] = field(default_factory=set)
    items: dict[Place, set[Hashable]] = field(default_factory=dict)
    cut_off: dict[Place, set[Hashable]] = field(default_factory=dict)
    voxels: set[Place] = field(default_factory=set)
    whole: set[Place] = field(default_factory=set)

    def add(self, decoded: Decoded, blob: Blob) -> None:
        """Take in some records. An operation counts from its start on, whether it will complete or not."""
        for item in decoded.labels:
            event = item.event if isinstance(item, Announcement) else item
            self.counters.add(event.instance)
            if isinstance(event, BodyEvent):
                self._items(event.instance, event.version).update(_labels(event))
                if isinstance(event, Split | SplitSupervoxel):
                    self.voxels.add((event.instance, event.version))
        for change in decoded.repo:
            self.versions.add(change.version)
            if isinstance(change, NewVersion):
                self.versions.add(change.child)
            elif isinstance(change, NewInstance):
                self.instances.add(change.name)
        for data in decoded.data:
            self._add_data(data, blob)

    def explains(self, row: Difference) -> bool:
        """Whether a difference of the whole repo, a version, an instance or a counter can come of them."""
        if not row.instance:
            return row.version in self.versions
        return row.instance in (self.counters if "label" in row.what else self.instances)

    def among(self, found: Found, instance: str, versions: Collection[str]) -> npt.NDArray[np.bool_]:
        """Which of the items can differ because of them.

        Args:
            versions: that of the items, and those that it comes from: what changes there shows in it.
        """
        places = [(instance, version) for version in versions]
        everything = self.voxels if found.kind.follows_voxels else self.whole
        if not everything.isdisjoint(places):
            return np.ones(len(found), bool)
        items = set[Hashable]().union(*(self.items.get(place, ()) for place in places))
        if not items:
            return np.zeros(len(found), bool)
        columns: list[Iterable[Hashable]] = [found.keys.tolist()]
        if found.kind.values_are_bodies:
            columns += [found.source.tolist(), found.copy.tolist()]
        masks = [np.fromiter((key in items for key in column), bool, len(found)) for column in columns]
        touched: npt.NDArray[np.bool_] = np.logical_or.reduce(masks)
        return touched

    def ends_of_relations(self, instance: str, versions: Collection[str]) -> set[Hashable]:
        """The positions whose elements were deleted or moved."""
        return set[Hashable]().union(*(self.cut_off.get((instance, version), ()) for version in versions))

    def _items(self, instance: str, version: str) -> set[Hashable]:
        return self.items.setdefault((instance, version), set())

    def _add_data(self, event: DataEvent, blob: Blob) -> None:
        items = self._items(event.instance, event.version)
        match event:
            case PostKey() | DeleteKey():
                items.add(event.key)
            case PostNeuron():
                items.add(event.key if event.body is None else event.body)
            case ElementEvent():
                self._add_elements(event, items, blob)
            case _:
                self.whole.add((event.instance, event.version))

    def _add_elements(self, event: ElementEvent, items: set[Hashable], blob: Blob) -> None:
        place = (event.instance, event.version)
        content = blob(event) if isinstance(event, PostElements | PostBlocks) else b""
        found = elements.Touched()
        if content is not None:
            found.add(0, event, content)
        items.update(found.points)
        if content is None or found.blocks or found.refusals:
            self.whole.add(place)
        if isinstance(event, DeleteElement | MoveElement):
            self.cut_off.setdefault(place, set()).update(found.points)


def _labels(event: BodyEvent) -> set[int]:
    labels = set(event.bodies)
    if isinstance(event, Split | SplitSupervoxel):
        labels.update(label for part in event.parts for label in part)
    return labels
