"""Elements copied from source to destination, as they are at the positions that the log names.

Repeating the requests would be no copy: a post that comes again after a later delete brings the element back,
a move that comes again doubles it. What the source has at a position can be copied any number of times.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from dvidsync_dagster.datatypes.annotation.commands import CopyElements, Place
from dvidsync_dagster.datatypes.annotation.region import Region, block_edge
from dvidsync_dagster.datatypes.annotation.touched import Touched, read_touched
from dvidsync_dagster.datatypes.copied import is_committed
from dvidsync_dagster.datatypes.own_values import OwnValues, hash_of, own_value
from dvidsync_dagster.differences.digest import canonical
from dvidsync_dagster.dvid.annotation import Annotation, Element, Point, point_text, position, related
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.plan.outcome import Outcome, Refusal, refusal_of

MAX_ELEMENTS = 2000
"""Elements in one request."""

READS_AT_A_TIME = 4
_MOST_AT_ONE_POINT = 1000
_EMPTY: tuple[object, ...] = (None, [], {})


@dataclass(frozen=True, slots=True)
class AnnotationWriter:
    """Copies elements of one instance.

    Args:
        edge: voxels along each side of a block.
    """

    source: Annotation
    destination: Annotation
    edge: Point
    own_values: OwnValues | None = None

    def carry_out(self, command: CopyElements, *, forced: bool = False) -> Outcome:
        """Copy what is at the places of a command. What the source refuses to tell is a refusal too.

        Args:
            forced: over the destination's own elements too.
        """
        version, places = command.version, command.places
        with ThreadPoolExecutor(READS_AT_A_TIME) as pool:
            touched = read_touched(self.source, version, places, pool)
            try:
                source = Region(self.source, version, self.edge, pool)
                destination = Region(self.destination, version, self.edge, pool)
                _read(touched, source, destination)
                own = self._own(touched, source, destination, forced=forced)
            except RequestRefused as refusal:
                return Outcome(refusals=tuple(Refusal(at, str(refusal)) for at in range(len(places))))
            refusals = [*touched.refusals, *_own_elements(own)]
            refusals += self._write(touched, source, destination, places, own)
        return Outcome(refusals=tuple({refusal.part: refusal for refusal in refusals}.values()))

    def _own(
        self, touched: Touched, source: Region, destination: Region, *, forced: bool
    ) -> Mapping[Point, int]:
        """The points at which the destination's elements must stay as they are, and the place that answers
        for each. The others are noted."""
        if self.own_values is None:
            return {}
        destination.read({destination.block_of(point) for point in touched.points})
        answering = {
            **{position(own[0]): at for at, own in _posts(touched, source, destination)},
            **touched.points,
        }
        destination.read({destination.block_of(point) for point in answering})

        def read_in(version: str, points: Collection[Point]) -> Mapping[Point, int]:
            before = Region(self.destination, version, self.edge, destination.pool)
            before.read({before.block_of(point) for point in points})
            return {point: hash_of_elements(before.at(point)) for point in points}

        own = self.own_values.among(
            source.version,
            {point: hash_of_elements(destination.at(point)) for point in answering},
            {point: hash_of_elements(source.at(point)) for point in answering},
            name=lambda point: point_text(point).encode(),
            read_in=read_in,
            forced=forced,
        )
        return {point: answering[point] for point in own}

    def _write(
        self,
        touched: Touched,
        source: Region,
        destination: Region,
        places: Sequence[Place],
        own: Collection[Point],
    ) -> Iterator[Refusal]:
        """Delete first: it takes relations along, and what is posted has the last word."""
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
        wanted = (each for each in _posts(touched, source, destination) if position(each[1][0]) not in own)
        for poster, posts in _by_user(wanted, places).items():
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


def _own_elements(own: Mapping[Point, int]) -> Iterator[Refusal]:
    """One for each place."""
    for at in sorted(set(own.values())):
        points = sorted(point for point, place in own.items() if place == at)
        texts = tuple(map(point_text, points))
        more = f" and at {len(texts) - 1} other points" if len(texts) > 1 else ""
        yield replace(own_value(at, f"the elements at {texts[0]}{more}"), touched=texts)


def hash_of_elements(elements: Sequence[Element]) -> int:
    """Of the elements at one point, in whatever order. Relations are left out: they follow the elements that
    they lead to. So is what is empty: a destination writes null in another
    way."""
    plain = [
        {name: value for name, value in each.items() if name != "Rels" and value not in _EMPTY}
        for each in elements
    ]
    return hash_of(b"".join(sorted(map(canonical, plain))))


def _read(touched: Touched, source: Region, destination: Region) -> None:
    """Read what is needed to tell what to delete and what to post."""
    source.read({source.block_of(point) for point in touched.points} | touched.blocks.keys())
    gone = [point for point in touched.points if not source.at(point)]
    destination.read({destination.block_of(point) for point in gone} | touched.blocks.keys())
    for block, at in touched.blocks.items():
        for point in (*source.points_in(block), *destination.points_in(block)):
            touched.points.setdefault(point, at)
    # A move or a delete changes what leads to the element, as far as the element leads back there.
    moved = [element for point in touched.arrivals for element in source.at(point)]
    linked = [element for point in touched.points for element in destination.at(point)]
    source.read({source.block_of(point) for element in (*moved, *linked) for point in related(element)})


def _deletes(point: Point, source: Region, destination: Region) -> int:
    """How often to delete at a point (docs/dvid.md, "Several elements at one point"). DVID replaces one by
    one; several at one point are posted anew."""
    here, there = source.at(point), destination.at(point)
    if len(here) > 1 and here != there:
        return _MOST_AT_ONE_POINT
    return len(there) if len(there) > len(here) else 0


def _posts(touched: Touched, source: Region, destination: Region) -> Iterator[tuple[int, list[Element]]]:
    """What to post: the place that answers for it, and the elements at one point.

    A delete takes along what leads to the element, in all blocks that the element leads to itself. At the
    source it may have stayed: blocks that are replaced whole take nothing along.
    """
    changed = touched.arrivals | {point for point in touched.points if _deletes(point, source, destination)}
    for point in dict.fromkeys((*touched.points, *(point for point, _ in source.everything()))):
        elements = source.at(point)
        ends = changed.intersection(end for each in elements for end in related(each))
        if point in touched.points and elements and (ends or elements != destination.at(point)):
            yield touched.points[point], elements
        elif point not in touched.points and ends:
            yield max(touched.points[end] for end in ends), elements


def _by_user(
    posts: Iterable[tuple[int, list[Element]]], places: Sequence[Place]
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
    source: Annotation,
    destination: Annotation,
    instances: Mapping[str, Instance],
    own_values: OwnValues | None = None,
) -> AnnotationWriter:
    """The writer of an instance."""
    synced = instances[source.name].syncs if source.name in instances else ()
    edge = block_edge(instances[name] for name in synced if name in instances)
    return AnnotationWriter(source, destination, edge, own_values)
