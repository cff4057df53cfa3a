"""Annotation instances: elements by block, and by label where they are synced to a labelmap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from dvidsync_dagster.sandbox import annotation_reads
from dvidsync_dagster.sandbox import elements as el
from dvidsync_dagster.sandbox.blocks import EDGE
from dvidsync_dagster.sandbox.elements import Element, partner_of, point_of
from dvidsync_dagster.sandbox.exchange import Answer, Exchange, Refused
from dvidsync_dagster.sandbox.golang import go_map
from dvidsync_dagster.sandbox.instance import MAX_MESSAGE_BYTES, Instance, Place, Settings
from dvidsync_dagster.sandbox.labelmap import Labelmap
from dvidsync_dagster.sandbox.reading import Point, read_json_object, read_point, read_uint
from dvidsync_dagster.sandbox.repo import Repo
from dvidsync_dagster.sandbox.versioned import VersionedStore

ElementPlace = dict[str, Any]
"""Label, Kind, Pos: an element that came to a label or left it."""


class Annotation(Instance):
    """Elements."""

    type_name: ClassVar[str] = "annotation"

    def __init__(
        self, repo: Repo, name: str, data_uuid: str, born_in: str, config: dict[str, str], settings: Settings
    ) -> None:
        super().__init__(repo, name, data_uuid, born_in, config, settings)
        self.blocks: VersionedStore[Point, list[Element]] = VersionedStore(repo.ancestry)
        # A copy by label without relations. It can be out of date: DVID forgets a move inside a label.
        self.by_label: VersionedStore[int, list[Element]] = VersionedStore(repo.ancestry)

    def serve(self, exchange: Exchange, place: Place) -> Answer:
        match exchange.parts[3]:
            case "elements":
                return self._elements(exchange, place)
            case "element":
                return self._delete(exchange, place)
            case "move":
                return self._move(exchange, place)
            case "blocks":
                return self._blocks(exchange, place)
            case "all-elements":
                return annotation_reads.all_elements(self, exchange, place)
            case "label":
                return annotation_reads.of_label(self, exchange, place)
            case "labels":
                return self._post_labels(exchange, place)
            case "scan":
                return annotation_reads.scan(self, exchange, place)
            case "tag":
                return annotation_reads.of_tag(self, exchange, place)
            case "reload":
                if exchange.method != "POST":
                    raise Refused("Only POST action is available on 'reload' endpoint.")
                self._reload(place)
                return Answer()
        return self.serve_common(exchange, place)

    def block_of(self, point: Point) -> Point:
        """Blocks are those of the labelmap that this instance is synced to."""
        labels = self._labels()
        edge = EDGE if labels is None else labels.edge
        return point[0] // edge, point[1] // edge, point[2] // edge

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

    def _labels(self) -> Labelmap | None:
        """The labelmap that this instance is synced to."""
        for each in self.repo.instances.values():
            if isinstance(each, Labelmap) and each.data_uuid in self.syncs:
                return each
        return None

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
        text = go_map(message)
        if len(text) > MAX_MESSAGE_BYTES:
            del message["Delta"]
            message["DataRef"] = self.put_blob(text)
        self.publish(exchange, message)

    def _tell(self, exchange: Exchange, place: Place, action: str, **fields: Any) -> None:
        if exchange.query.get("kafkalog") == "off":
            return
        message = {"Action": action, "UUID": place.uuid, "Timestamp": exchange.moment.go_time(), **fields}
        if exchange.user:
            message["User"] = exchange.user
        self.publish(exchange, message)

    def _elements(self, exchange: Exchange, place: Place) -> Answer:
        if exchange.method == "POST":
            self._post(exchange, place, el.read_elements(exchange.body))
            return Answer()
        return annotation_reads.region(self, exchange, place)

    def _post(self, exchange: Exchange, place: Place, posted: list[Element]) -> None:
        by_block: dict[Point, list[Element]] = {}
        for each in posted:
            by_block.setdefault(self.block_of(point_of(each)), []).append(each)
        given: set[str] = set()
        for block, added in by_block.items():
            given |= {tag for each in added for tag in each["Tags"] or []}
            if given & el.lost_tags(self.blocks.get(place.version, block) or [], added):
                raise RuntimeError("assignment to entry in nil map")  # as DVID does
        for block, added in by_block.items():
            stored = list(self.blocks.get(place.version, block) or [])
            el.add(stored, added)
            self.blocks.put(place.version, block, stored)
        for label, added in self._by_label(place, posted).items():
            self._add_to_label(place, label, added)
        if exchange.query.get("kafkalog") != "off":
            self._tell(exchange, place, "element-post", DataRef=self.put_blob(exchange.body))

    def _by_label(self, place: Place, found: list[Element]) -> dict[int, list[Element]]:
        labels = self._labels()
        result: dict[int, list[Element]] = {}
        if labels is not None:
            for each in found:
                label = labels.label_at(place.version, point_of(each))
                if label:
                    result.setdefault(label, []).append(el.without_relations(each))
        return result

    def _add_to_label(self, place: Place, label: int, added: list[Element]) -> None:
        stored = list(self.by_label.get(place.version, label) or [])
        places = {point_of(each): number for number, each in enumerate(stored)}
        for each in added:
            number = places.get(point_of(each))
            if number is None:
                stored.append(each)
            else:
                stored[number] = each
        self.by_label.put(place.version, label, stored)

    def _delete(self, exchange: Exchange, place: Place) -> Answer:
        if exchange.method != "DELETE":
            raise Refused("Only DELETE action is available on 'element' endpoint.")
        if len(exchange.parts) < 5:
            raise Refused("Must include coordinate after DELETE on 'element' endpoint.")
        point = read_point(exchange.parts[4])
        block = self.block_of(point)
        stored = list(self.blocks.get(place.version, block) or [])
        deleted = el.remove(stored, point)
        if deleted is None:
            raise Refused(f"Did not find element {_text(point)} in datastore")
        el.remove_relations(stored, point)
        self.blocks.put(place.version, block, stored)
        labels = self._labels()
        if labels is not None:
            label = labels.label_at(place.version, point)
            kept = list(self.by_label.get(place.version, label) or [])
            if el.remove(kept, point) is not None:
                self.by_label.put(place.version, label, kept)
        for other in {self.block_of(partner_of(each)) for each in deleted["Rels"] or []}:
            related = list(self.blocks.get(place.version, other) or [])
            if el.remove_relations(related, point):
                self.blocks.put(place.version, other, related)
        self._tell(exchange, place, "element-delete", Point=list(point))
        return Answer()

    def _move(self, exchange: Exchange, place: Place) -> Answer:
        if exchange.method != "POST":
            raise Refused("Only POST action is available on 'move' endpoint.")
        if len(exchange.parts) < 6:
            raise Refused("Must include 'from' and 'to' coordinate after 'move' endpoint.")
        source, target = read_point(exchange.parts[4]), read_point(exchange.parts[5])
        from_block, to_block = self.block_of(source), self.block_of(target)
        stored = list(self.blocks.get(place.version, from_block) or [])
        moved, _ = el.move(stored, source, target, leaves=from_block != to_block)
        if moved is None:
            raise Refused(f"Did not find moved element {_text(source)} in datastore")
        self.blocks.put(place.version, from_block, stored)
        if from_block != to_block:
            arrived = list(self.blocks.get(place.version, to_block) or [])
            el.add(arrived, [moved])
            self.blocks.put(place.version, to_block, arrived)
        self._tell(exchange, place, "element-move", From=list(source), To=list(target))
        self._move_label(place, source, target, el.without_relations(moved))
        for other in {self.block_of(partner_of(each)) for each in moved["Rels"]} - {from_block}:
            related = list(self.blocks.get(place.version, other) or [])
            _, changed = el.move(related, source, target, leaves=False)
            if changed:
                self.blocks.put(place.version, other, related)
        return Answer()

    def _move_label(self, place: Place, source: Point, target: Point, moved: Element) -> None:
        labels = self._labels()
        if labels is None:
            return
        old, new = labels.label_at(place.version, source), labels.label_at(place.version, target)
        if old == new:
            return
        if old:
            kept = list(self.by_label.get(place.version, old) or [])
            if el.remove(kept, source) is not None:
                self.by_label.put(place.version, old, kept)
        if new:
            arrived = list(self.by_label.get(place.version, new) or [])
            el.add(arrived, [moved])
            self.by_label.put(place.version, new, arrived)

    def _blocks(self, exchange: Exchange, place: Place) -> Answer:
        if exchange.method == "POST":
            for block, found in el.read_block_elements(exchange.body).items():
                self.blocks.put(place.version, block, found)
            if exchange.query.get("kafkalog") != "off":
                self._tell(exchange, place, "blocks-post", DataRef=self.put_blob(exchange.body))
            return Answer()
        return annotation_reads.blocks(self, exchange, place)

    def _post_labels(self, exchange: Exchange, place: Place) -> Answer:
        """Elements by label as they are to be stored, each list as a text."""
        if exchange.method != "POST":
            raise Refused("Only POST action is available on 'labels' endpoint.")
        if len(exchange.parts) > 4:
            raise Refused("Extraneous arguments after POST /labels endpoint.")
        for label, text in read_json_object(exchange.body, "json").items():
            found = [el.without_relations(each) for each in el.read_elements(str(text).encode())]
            if read_uint(label):
                self.by_label.put(place.version, int(label), found)
        return Answer()

    def _reload(self, place: Place) -> None:
        for label in self.by_label.items(place.version):
            self.by_label.delete(place.version, label)
        found = [each for listed in self.blocks.items(place.version).values() for each in listed]
        for label, added in self._by_label(place, found).items():
            self.by_label.put(place.version, label, added)


def _at(label: int, element: Element) -> ElementPlace:
    return {"Label": label, "Kind": element["Kind"], "Pos": element["Pos"]}


def _text(point: Point) -> str:
    return f"({point[0]},{point[1]},{point[2]})"
