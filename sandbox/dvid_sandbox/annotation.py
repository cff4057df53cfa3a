"""Annotation instances: elements by block, and by label where they are synced to a labelmap."""

from __future__ import annotations

from typing import Any, ClassVar

from dvid_sandbox import annotation_reads
from dvid_sandbox import elements as el
from dvid_sandbox.annotation_sync import SyncedElements
from dvid_sandbox.elements import Element, partner_of, point_of
from dvid_sandbox.exchange import Answer, Exchange, Refused
from dvid_sandbox.instance import Place
from dvid_sandbox.reading import Point, read_json_object, read_point, read_uint


class Annotation(SyncedElements):
    """Elements, as requests read and write them."""

    type_name: ClassVar[str] = "annotation"

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
            self.add_to_label(place, label, added)
        if exchange.query.get("kafkalog") != "off":
            self._tell(exchange, place, "element-post", DataRef=self.put_blob(exchange.body))

    def _by_label(self, place: Place, found: list[Element]) -> dict[int, list[Element]]:
        labels = self.labels()
        result: dict[int, list[Element]] = {}
        if labels is not None:
            for each in found:
                label = labels.label_at(place.version, point_of(each))
                if label:
                    result.setdefault(label, []).append(el.without_relations(each))
        return result

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
        labels = self.labels()
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
        labels = self.labels()
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


def _text(point: Point) -> str:
    return f"({point[0]},{point[1]},{point[2]})"
