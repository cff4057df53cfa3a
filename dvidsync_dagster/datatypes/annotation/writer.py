"""Elements copied from source to destination, as they are at the positions that the log names.

Repeating the requests would be no copy: a post that comes again after a later delete brings the element back,
a move that comes again doubles it. What the source has at a position can be copied any number of times.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from dvidsync_dagster.datatypes.annotation.commands import CopyElements, ElementPlace
from dvidsync_dagster.datatypes.annotation.own_elements import OwnElements, elements_digest, why_left_alone
from dvidsync_dagster.datatypes.annotation.region import Region, block_edge
from dvidsync_dagster.datatypes.annotation.touched_positions import TouchedPositions, read_touched
from dvidsync_dagster.datatypes.copied import is_committed
from dvidsync_dagster.datatypes.own_values import LeftAlone, OwnValues
from dvidsync_dagster.dvid.annotation import Annotation, Element, Point, position, related
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.plan.outcome import Outcome, Refusal, refusal_of

MAX_ELEMENTS = 2000
"""Elements in one request."""

READS_AT_A_TIME = 4
_MOST_AT_ONE_POINT = 1000


@dataclass(frozen=True, slots=True)
class AnnotationWriter:
    """Copies elements of one instance.

    Args:
        edge: voxels along each side of a block.
        own: tells what people changed at the destination.
    """

    source: Annotation
    destination: Annotation
    edge: Point
    own: OwnElements

    def agreeing(self, version: str, places: Sequence[ElementPlace]) -> Collection[int]:
        """Those of some places (by position) at which both sides have the same, but for relations."""
        with ThreadPoolExecutor(READS_AT_A_TIME) as pool:
            each = [read_touched(self.source, version, [place], pool) for place in places]
            source = Region(self.source, version, self.edge, pool)
            destination = Region(self.destination, version, self.edge, pool)
            for touched in each:
                _read(touched, source, destination, all_there=True)
        return [
            at
            for at, touched in enumerate(each)
            if not touched.refusals
            and all(
                elements_digest(source.at(point)) == elements_digest(destination.at(point))
                for point in touched.points
            )
        ]

    def carry_out(self, command: CopyElements) -> Outcome:
        """Copy what is at the places of a command. What the source refuses to tell is a refusal too."""
        version, places = command.version, command.places
        with ThreadPoolExecutor(READS_AT_A_TIME) as pool:
            touched = read_touched(self.source, version, places, pool)
            try:
                source = Region(self.source, version, self.edge, pool)
                destination = Region(self.destination, version, self.edge, pool)
                _read(touched, source, destination, all_there=self.own.are_told)
            except RequestRefused as refusal:
                return Outcome(refusals=tuple(Refusal(at, str(refusal)) for at in range(len(places))))
            told = self.own.are_told
            both = self.own.compared(source, destination, touched.points, touched.since) if told else {}
            changed = self.own.own(source, destination, both)
            left_alone = _left_alone(touched, changed)
            own = _with_moves(touched, places, changed)
            written = list(self._write(touched, source, destination, places, own))
        refused = {refusal.part for refusal in written}
        refused_points = [point for point in both if touched.points[point] in refused and point not in own]
        self.own.written(version, both, own, refused_points)
        refusals = [*touched.refusals, *written, *left_alone]
        return Outcome(refusals=tuple({refusal.part: refusal for refusal in refusals}.values()))

    def _write(
        self,
        touched: TouchedPositions,
        source: Region,
        destination: Region,
        places: Sequence[ElementPlace],
        own: Collection[Point],
    ) -> Iterator[Refusal]:
        """Delete first: it takes relations along, and what is posted has the last word. Nothing at the points
        that are people's `own`."""
        version = source.version
        for point, at in touched.points.items():
            if point in own:
                continue
            user = places[at].user or None
            try:
                for _ in range(_deletes(point, source, destination)):
                    if not self.destination.delete(version, point, user=user):
                        break
            except RequestRefused as refusal:
                yield refusal_of(at, refusal)
        for poster, posts in _by_user(self._posts(touched, source, destination, own), places).items():
            for some in _slices(posts):
                elements = [element for _, own in some for element in own]
                try:
                    self.destination.post(version, elements, user=poster or None)
                except RequestRefused as refusal:
                    if is_committed(refusal):
                        # What a committed version has is there: by an earlier run, or with the copy.
                        destination.read({destination.block_of(position(element)) for element in elements})
                        some = [(at, own) for at, own in some if own != destination.at(position(own[0]))]
                    yield from (refusal_of(at, refusal) for at, _ in some)

    def _posts(
        self, touched: TouchedPositions, source: Region, destination: Region, own: Collection[Point]
    ) -> Iterator[tuple[int, list[Element]]]:
        """What to post: the place that answers for it, and the elements at one point.

        A delete takes along what leads to the element, in all blocks that the element leads to itself. At the
        source it may have stayed: blocks that are replaced whole take nothing along. What leads there and is
        another element than at the source is left: an event of its own brings it, or people changed it.
        """
        deleted = {point for point in touched.points if _deletes(point, source, destination)}
        changed = (touched.arrivals | deleted).difference(own)
        for point in dict.fromkeys((*touched.points, *(point for point, _ in source.everything()))):
            elements = source.at(point) if point not in own else []
            ends = changed.intersection(end for each in elements for end in related(each))
            if point in touched.points and elements and (ends or elements != destination.at(point)):
                yield touched.points[point], elements
            elif point not in touched.points and ends and self._may_post(elements, destination.at(point)):
                yield max(touched.points[end] for end in ends), elements

    def _may_post(self, elements: Sequence[Element], there: Sequence[Element]) -> bool:
        return not self.own.are_told or elements_digest(elements) == elements_digest(there)


def _read(touched: TouchedPositions, source: Region, destination: Region, *, all_there: bool) -> None:
    """Read what is needed to tell what to delete and what to post; `all_there`: and what people changed."""
    source.read({source.block_of(point) for point in touched.points} | touched.blocks.keys())
    gone = [point for point in touched.points if all_there or not source.at(point)]
    destination.read({destination.block_of(point) for point in gone} | touched.blocks.keys())
    for block in touched.blocks:
        touched.in_block(block, (*source.points_in(block), *destination.points_in(block)))
    # A move or a delete changes what leads to the element, as far as the element leads back there.
    moved = [element for point in touched.arrivals for element in source.at(point)]
    deleted = [point for point in touched.points if _deletes(point, source, destination)]
    linked = [element for point in deleted for element in destination.at(point)]
    ends = {source.block_of(point) for element in (*moved, *linked) for point in related(element)}
    source.read(ends)
    if all_there:
        destination.read(ends)


def _left_alone(touched: TouchedPositions, changed: LeftAlone[Point]) -> list[Refusal]:
    """One of each place that answers for points which people changed."""
    points: dict[int, list[Point]] = {}
    for point in sorted(changed):
        points.setdefault(touched.points[point], []).append(point)
    return [Refusal(at, why_left_alone(own, changed[own[0]])) for at, own in points.items()]


def _with_moves(
    touched: TouchedPositions, places: Sequence[ElementPlace], own: Collection[Point]
) -> set[Point]:
    """An element that cannot go, or cannot arrive, is not moved."""
    stay = {touched.points[point] for point in own if places[touched.points[point]].arrival is not None}
    return {*own} | {point for at in stay for point in places[at].points if touched.points[point] == at}


def _deletes(point: Point, source: Region, destination: Region) -> int:
    """How often to delete at a point (docs/dvid.md, "Several elements at one point"). DVID replaces one by
    one; several at one point are posted anew."""
    here, there = source.at(point), destination.at(point)
    if len(here) > 1 and here != there:
        return _MOST_AT_ONE_POINT
    return len(there) if len(there) > len(here) else 0


def _by_user(
    posts: Iterable[tuple[int, list[Element]]], places: Sequence[ElementPlace]
) -> dict[str, list[tuple[int, list[Element]]]]:
    by_user: dict[str, list[tuple[int, list[Element]]]] = {}
    for at, elements in posts:
        by_user.setdefault(places[at].user, []).append((at, elements))
    return by_user


def _slices(posts: Sequence[tuple[int, list[Element]]]) -> Iterator[list[tuple[int, list[Element]]]]:
    some: list[tuple[int, list[Element]]] = []
    count = 0
    for at, elements in posts:
        if some and count + len(elements) > MAX_ELEMENTS:
            yield some
            some, count = [], 0
        some.append((at, elements))
        count += len(elements)
    if some:
        yield some


def new_writer(
    source: Annotation, destination: Annotation, instances: Mapping[str, Instance], own_values: OwnValues
) -> AnnotationWriter:
    """The writer of an instance; `own_values` tells what people changed at the destination."""
    synced = instances[source.name].syncs if source.name in instances else ()
    edge = block_edge(instances[name] for name in synced if name in instances)
    return AnnotationWriter(source, destination, edge, OwnElements(own_values, source))
