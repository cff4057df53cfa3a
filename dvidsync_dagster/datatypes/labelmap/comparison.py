"""Labelmaps: the body of each supervoxel, the voxels of each body, the label counter."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from dvidsync_dagster.datatypes.contract import DataComparison
from dvidsync_dagster.datatypes.labelmap.empty_supervoxels import empty_among
from dvidsync_dagster.datatypes.labelmap.events import BodyEvent, Split, SplitSupervoxel
from dvidsync_dagster.datatypes.labelmap.lower_scales import compare_lower_scales
from dvidsync_dagster.differences.digest import Numbers, Page, Wanted, numbered
from dvidsync_dagster.differences.findings import Difference, DifferenceKind
from dvidsync_dagster.differences.items import Found, Pair, ServerPair, find, gathered, side_by_side
from dvidsync_dagster.differences.sides import DvidSide, Kind
from dvidsync_dagster.differences.touched import Touched
from dvidsync_dagster.dvid.label_lists import mapping_pairs, size_pairs
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.events.event import Event


def mapping_pages(side: DvidSide, _wanted: Wanted | None) -> Iterator[Page]:
    """Supervoxels that are in another body than their own, with their bodies."""
    for pairs in mapping_pairs(side.client, side.version, side.name):
        moved = pairs[pairs[:, 1] != 0]
        yield numbered(moved[:, 0], moved[:, 1])


def size_pages(side: DvidSide, _wanted: Wanted | None) -> Iterator[Page]:
    """Bodies with their voxels."""
    for pairs in size_pairs(side.client, side.version, side.name):
        # The background is no body, but a renumber to 0 gives it a size: docs/dvid.md, "Odd requests that are
        # taken".
        bodies = pairs[pairs[:, 0] != 0]
        yield numbered(bodies[:, 0], bodies[:, 1])


def bodies_of(side: DvidSide, supervoxels: Sequence[int]) -> Numbers:
    """Not listed means in its own body, or not there at all: so each is asked for."""
    return np.array(Labelmap(side.client, side.name).mapping(side.version, supervoxels), np.uint64)


MAPPING = Kind(
    "supervoxels",
    "supervoxels in another body",
    mapping_pages,
    values=bodies_of,
    show=lambda _key, body: f"in body {body}",
    touched_by_value=True,
)
SIZES = Kind("bodies", "bodies of another size", size_pages, show=lambda _key, voxels: f"{voxels} voxels")


def _with_voxels(found: Found | None, pair: Pair) -> Found | None:
    """Beside what is no server: without the supervoxels that a server maps to a body although they have no
    voxels, and which a snapshot leaves out."""
    if found is None or isinstance(pair, ServerPair) or not isinstance(pair.source, DvidSide):
        return found
    alone = found.at_source & ~found.at_destination
    source = Labelmap(pair.source.client, pair.source.name)
    empty = empty_among(pair.source.version, found.keys[alone].tolist(), source)
    kept = found.only(~(alone & np.isin(found.keys, np.array(sorted(empty), np.uint64))))
    return kept if len(kept) else None


class LabelmapComparison(DataComparison):
    """Supervoxels with their bodies, bodies with their sizes; of servers also what they count."""

    def items(self, pair: Pair, *, lower_scales: bool) -> tuple[list[Found], int]:
        """Lower scales only servers can be asked for."""
        moved, supervoxels = find(MAPPING, pair)
        found, count = gathered([(_with_voxels(moved, pair), supervoxels), find(SIZES, pair)])
        if lower_scales and isinstance(pair, ServerPair):
            lower, blocks = compare_lower_scales(pair)
            return [*found, *lower], count + blocks
        return found, count

    def in_version(self, pair: Pair) -> list[Difference]:
        """The highest label that a version has had. No server lowers it. What is no server has none."""
        if not isinstance(pair, ServerPair):
            return []
        here, there = side_by_side(
            lambda side: Labelmap(side.client, side.name).max_label(side.version),
            pair.source,
            pair.destination,
        )
        version, name = pair.source.version, pair.source.name
        if here == there:
            return []
        what = f"maxlabel {'behind' if there < here else 'ahead of'} the source's"
        example, kind = f"maxlabel is {here} here, {there} there", DifferenceKind.HIGHEST_ID
        return [Difference(version, name, what, abs(here - there), (example,), kind, ahead=there > here)]

    def of_instance(self, pair: Pair) -> list[Difference]:
        """The id that the next cleave gets. What is no server gives none."""
        if not isinstance(pair, ServerPair):
            return []
        here, there = side_by_side(
            lambda side: Labelmap(side.client, side.name).next_label(side.version),
            pair.source,
            pair.destination,
        )
        if here == there:
            return []
        what = f"label counter {'behind' if there < here else 'ahead'} of the source's"
        example = f"next label: {here} here, {there} there"
        count = abs(here - there)
        kind, ahead = DifferenceKind.COUNTER, there > here
        return [Difference("", pair.source.name, what, count, (example,), kind, ahead=ahead)]

    def concerns(self, items: Collection[str], found: Found) -> bool:
        """By its bodies. What is derived (lower scales) can come of any."""
        if found.kind not in (MAPPING, SIZES):
            return True
        columns = (found.source, found.destination) if found.kind is MAPPING else (found.keys,)
        bodies = np.array([int(each) for each in items if each.isdecimal()], np.uint64)
        return len(bodies) < len(items) or any(bool(np.isin(column, bodies).any()) for column in columns)

    def touch(self, event: Event, touched: Touched, source: Transport) -> None:
        touched.counters.add(event.instance)
        if not isinstance(event, BodyEvent):
            return
        touched.add_items(event.instance, event.version, event.bodies)
        if isinstance(event, Split | SplitSupervoxel):
            touched.add_items(
                event.instance, event.version, (label for part in event.parts for label in part)
            )
            touched.derived.add((event.instance, event.version))
