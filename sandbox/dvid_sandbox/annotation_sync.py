"""How elements follow the labelmap that their instance is synced to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dvid_sandbox import elements as el
from dvid_sandbox.blocks import EDGE, Block
from dvid_sandbox.elements import Element, point_of
from dvid_sandbox.exchange import Exchange
from dvid_sandbox.golang import go_map
from dvid_sandbox.instance import MAX_MESSAGE_BYTES, Instance, Place, Settings
from dvid_sandbox.labelmap import Labelmap
from dvid_sandbox.reading import Point
from dvid_sandbox.repo import Repo
from dvid_sandbox.versioned import VersionedStore

ElementPlace = dict[str, Any]
"""Label, Kind, Pos: an element that came to a label or left it."""


class SyncedElements(Instance):
    """Elements by block and by label."""

    def __init__(
        self, repo: Repo, name: str, data_uuid: str, born_in: str, config: dict[str, str], settings: Settings
    ) -> None:
        super().__init__(repo, name, data_uuid, born_in, config, settings)
        self.blocks: VersionedStore[Point, list[Element]] = VersionedStore(repo.ancestry)
        # A copy by label without relations. It can be out of date: DVID forgets a move inside a label.
        self.by_label: VersionedStore[int, list[Element]] = VersionedStore(repo.ancestry)

    def block_of(self, point: Point) -> Point:
        """Blocks are those of the labelmap that this instance is synced to."""
        labels = self.labels()
        edge = EDGE if labels is None else labels.edge
        return point[0] // edge, point[1] // edge, point[2] // edge

    def labels(self) -> Labelmap | None:
        """The labelmap that this instance is synced to."""
        for each in self.repo.instances.values():
            if isinstance(each, Labelmap) and each.data_uuid in self.syncs:
                return each
        return None

    def add_to_label(self, place: Place, label: int, added: list[Element]) -> None:
        stored = list(self.by_label.get(place.version, label) or [])
        places = {point_of(each): number for number, each in enumerate(stored)}
        for each in added:
            number = places.get(point_of(each))
            if number is None:
                stored.append(each)
            else:
                stored[number] = each
        self.by_label.put(place.version, label, stored)

    def labels_merged(
        self, exchange: Exchange, place: Place, mutation_id: int, target: int, merged: list[int]
    ) -> None:
        into = list(self.by_label.get(place.version, target) or [])
        added: list[ElementPlace] = []
        removed: list[ElementPlace] = []
        for label in merged:
            moved = self.by_label.get(place.version, label) or []
            if not moved:
                continue
            self.by_label.delete(place.version, label)
            into += moved
            added += [_at(target, each) for each in moved]
            removed += [_at(label, each) for each in moved]
        if added:
            self.by_label.put(place.version, target, into)
            self._tell_derived(exchange, place, "merge", mutation_id, added, removed)

    def voxels_written(
        self,
        exchange: Exchange,
        place: Place,
        mutation_id: int,
        written: Mapping[Point, Block],
        old: Mapping[Point, Block],
    ) -> None:
        """DVID goes by the supervoxels here, whatever body they are in."""
        for point, block in written.items():
            found = [el.without_relations(each) for each in self.blocks.get(place.version, point) or []]
            if not found:
                continue
            before = old.get(point)
            removed: list[ElementPlace] = []
            for each in found if before is not None else ():
                label = before.label_at(point_of(each)) if before is not None else 0
                if label:
                    kept = list(self.by_label.get(place.version, label) or [])
                    el.remove(kept, point_of(each))
                    self._put_label(place, label, kept)
                    removed.append(_at(label, each))
            added: list[ElementPlace] = []
            for each in found:
                label = block.label_at(point_of(each))
                if label:
                    self.add_to_label(place, label, [each])
                    added.append(_at(label, each))
            action = "ingest-block" if before is None else "mutate-block"
            self._tell_derived(exchange, place, action, mutation_id, added, removed)

    def label_cleaved(
        self,
        exchange: Exchange,
        place: Place,
        mutation_id: int,
        target: int,
        cleaved_label: int,
        in_cleaved: Callable[[Point], bool],
    ) -> None:
        before = self.by_label.get(place.version, target) or []
        moved = [each for each in before if in_cleaved(point_of(each))]
        if not moved:
            return
        self._put_label(place, target, [each for each in before if each not in moved])
        self._put_label(place, cleaved_label, moved)
        added = [_at(cleaved_label, each) for each in moved]
        removed = [_at(target, each) for each in moved]
        self._tell_derived(exchange, place, "cleave", mutation_id, added, removed)

    def label_split(
        self,
        exchange: Exchange,
        place: Place,
        mutation_id: int,
        target: int,
        new_label: int,
        in_split: Callable[[Point], bool],
        blocks: list[Point],
    ) -> None:
        moved = [
            el.without_relations(each)
            for block in blocks
            for each in self.blocks.get(place.version, block) or []
            if in_split(point_of(each))
        ]
        if moved:
            points = {point_of(each) for each in moved}
            kept = self.by_label.get(place.version, target) or []
            self._put_label(place, target, [each for each in kept if point_of(each) not in points])
            new = list(self.by_label.get(place.version, new_label) or [])
            el.add(new, moved)
            self._put_label(place, new_label, new)
        added = [_at(new_label, each) for each in moved]
        removed = [_at(target, each) for each in moved]
        self._tell_derived(exchange, place, "split", mutation_id, added, removed)

    def _put_label(self, place: Place, label: int, found: list[Element]) -> None:
        if found:
            self.by_label.put(place.version, label, found)
        else:
            self.by_label.delete(place.version, label)

    def _tell_derived(
        self,
        exchange: Exchange,
        place: Place,
        action: str,
        mutation_id: int,
        added: list[ElementPlace],
        removed: list[ElementPlace],
    ) -> None:
        message: dict[str, Any] = {
            "Action": action,
            "MutationID": mutation_id,
            "UUID": place.uuid,
            "Timestamp": exchange.moment.go_time(),
            "Delta": {"Add": added or None, "Del": removed or None},
        }
        if action == "ingest-block":
            del message["MutationID"]
            message["Delta"]["Add"] = added
        text = go_map(message)
        if len(text) > MAX_MESSAGE_BYTES:
            del message["Delta"]
            message["DataRef"] = self.put_blob(text)
        self.publish(exchange, message)


def _at(label: int, element: Element) -> ElementPlace:
    return {"Label": label, "Kind": element["Kind"], "Pos": element["Pos"]}
