"""Annotation instances in a snapshot: one table of elements, with the supervoxel under each.

Merges and cleaves change nothing here: the elements of a body are those on its supervoxels.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pyarrow as pa

from dvidsync_dagster.datatypes.annotation.commands import place_of
from dvidsync_dagster.datatypes.annotation.comparison import ELEMENTS, read_blocks
from dvidsync_dagster.datatypes.annotation.element_rows import (
    Numbered,
    element_batch,
    element_row,
    element_table,
    has_supervoxels_of,
    numbered,
)
from dvidsync_dagster.datatypes.annotation.events import DeleteElement, ElementEvent, MoveElement
from dvidsync_dagster.datatypes.annotation.labels_under import LabelsUnder, labelmaps_of, labels_under
from dvidsync_dagster.datatypes.annotation.looked_up import ordinals_at, points_in, points_that_lead_to
from dvidsync_dagster.datatypes.annotation.region import Region, block_of
from dvidsync_dagster.datatypes.annotation.snapshot_items import element_pages, elements
from dvidsync_dagster.datatypes.annotation.touched_positions import block_named, read_touched
from dvidsync_dagster.datatypes.annotation.writer import READS_AT_A_TIME
from dvidsync_dagster.datatypes.snapshot_side import Sift, SnapshotSide
from dvidsync_dagster.datatypes.table_rows import ROWS, bounded, kept, keys
from dvidsync_dagster.differences.digest import Page
from dvidsync_dagster.differences.items import Found
from dvidsync_dagster.differences.sides import DvidSide, Kind
from dvidsync_dagster.dvid.annotation import Annotation, Point
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.errors import ServerFailed, Unfit
from dvidsync_dagster.events.event import Event, SplitsSupervoxels
from dvidsync_dagster.events.repo import NewInstance
from dvidsync_dagster.snapshot.table import HIGHEST, Change, Table, TableRows

_BLOCKS_IN_MEMORY = 64


class AnnotationSnapshot(SnapshotSide):
    """Elements.

    Args:
        followed: the instances that are in the snapshot, by name.
    """

    begins_empty = True

    def __init__(self, source: Transport, instance: Instance, followed: Mapping[str, Instance]) -> None:
        super().__init__(source, instance)
        self._followed = followed
        self._labelmaps = labelmaps_of(instance, followed)

    @property
    def tables(self) -> Sequence[Table]:
        """With the text that one has that is empty."""
        return (self._table,)

    @property
    def _table(self) -> Table:
        return element_table(self.instance.name)

    def whole(self, version: str) -> Iterator[tuple[Table, Iterator[pa.RecordBatch]]]:
        under = self._under(version)
        yield element_table(self._name, under.name), self._everything(under)

    def pages(self, kind: Kind, rows: TableRows) -> Iterator[Page]:
        return element_pages(rows, self._table) if kind is ELEMENTS else super().pages(kind, rows)

    def records(self, kind: Kind, rows: TableRows) -> Iterator[tuple[Any, Any]]:
        return elements(rows, self._table) if kind is ELEMENTS else super().records(kind, rows)

    def changes(self, events: Sequence[Event], version: str, rows: TableRows) -> Mapping[str, Change]:
        """If the source has lost what was posted, or if another labelmap lies under the elements now, all of
        them are read, and the table is written anew."""
        own = [each for each in events if isinstance(each, ElementEvent) and each.instance == self._name]
        split = [each for each in events if isinstance(each, SplitsSupervoxels) and self._is_under(each)]
        is_made = any(isinstance(each, NewInstance) and each.name in self._labelmaps for each in events)
        labels = self._labelmaps[0] if self._labelmaps else None
        is_as_before = has_supervoxels_of(rows.schema(self._table), labels) and not is_made
        if not own and not split and is_as_before:
            return {}
        under = self._under(version)
        table = element_table(self._name, under.name)
        if is_made or not has_supervoxels_of(rows.schema(table), under.name):
            return self._anew(table, under)
        if not own and not split:
            return {}
        with ThreadPoolExecutor(READS_AT_A_TIME) as pool:
            touched = read_touched(self._source, version, list(map(place_of, own)), pool)
            if touched.refusals:
                return self._anew(table, under)
            points = {*touched.points, *points_in(rows, table, touched.blocks, under.edge)}
            # What leads to where an element was may lead elsewhere now, or nowhere.
            points.update(points_that_lead_to(rows, table, _left(own)))
            now = self._as_at_source(points, touched.blocks, under, rows, pool)
        known = points.union(zip(*(now.put[name].to_pylist() for name in "xyz"), strict=True))
        others = kept(table, self._split_rows(rows, split, known, under))
        return {table.path: Change(pa.concat_tables([now.put, others]), now.gone, table)}

    def renewed(
        self, found: Sequence[Found], version: str, rows: TableRows, sift: Sift, at_ns: int
    ) -> Mapping[str, Change]:
        points = {point for each in found for point in each.keys.tolist()}
        under = self._under(version)
        table = element_table(self._name, under.name)
        if not has_supervoxels_of(rows.schema(table), under.name):
            return self._anew(table, under)
        with ThreadPoolExecutor(READS_AT_A_TIME) as pool:
            return {table.path: replace(self._as_at_source(points, (), under, rows, pool), table=table)}

    def _as_at_source(
        self,
        points: Collection[Point],
        blocks: Collection[Point],
        under: LabelsUnder,
        rows: TableRows,
        pool: Executor,
    ) -> Change:
        """What the source has at some points, and in whole blocks."""
        table = self._table
        put = kept(table, self._batches(self._read(points, blocks, under, pool), under))
        there = {tuple(key.values()) for key in put.select(list(table.key)).to_pylist()}
        gone = [
            (*point, ordinal)
            for point, ordinal in ordinals_at(rows, table, points)
            if (*point, ordinal) not in there
        ]
        return Change(put, keys(table, gone))

    @property
    def _name(self) -> str:
        return self.instance.name

    @property
    def _source(self) -> Annotation:
        return Annotation(self.source, self._name)

    def _is_under(self, event: Event) -> bool:
        return event.instance in self._labelmaps

    def _under(self, version: str) -> LabelsUnder:
        return labels_under(self.source, version, self.instance, self._followed)

    def _anew(self, table: Table, under: LabelsUnder) -> Mapping[str, Change]:
        return {table.path: Change(table.schema.empty_table(), table=table, anew=self._everything(under))}

    def _everything(self, under: LabelsUnder) -> Iterator[pa.RecordBatch]:
        """All elements that the source has."""
        side = DvidSide(self.source, under.version, self._name)

        def rows() -> Iterator[Numbered]:
            for name, found in read_blocks(side):
                self._check_block(name, (point for point, _ in found), under.edge)
                yield from numbered(element_row(element, self._where) for _, element in found)

        return self._batches(rows(), under)

    def _check_block(self, name: str, points: Iterable[Point], edge: Point) -> None:
        """See docs/dvid.md, "Blocks of elements"."""
        try:
            block = block_named(name)
        except ValueError as error:
            raise ServerFailed(self._where, f"names a block that is none: {error}") from None
        for point in points:
            if block_of(point, edge) != block:
                raise Unfit(
                    self._name,
                    f"the element at {point} is kept in block {block}, to which it does not belong",
                    "Post the elements of that block anew, as elements and not as a block.",
                )

    def _read(
        self, points: Collection[Point], whole: Collection[Point], under: LabelsUnder, pool: Executor
    ) -> Iterator[Numbered]:
        """What the source has at some points, and in whole blocks; few blocks at a time."""
        wanted: dict[Point, set[Point]] = {block: set() for block in whole}
        for point in points:
            wanted.setdefault(block_of(point, under.edge), set()).add(point)
        blocks = sorted(wanted, key=lambda block: block[::-1])
        for start in range(0, len(blocks), _BLOCKS_IN_MEMORY):
            some = blocks[start : start + _BLOCKS_IN_MEMORY]
            region = Region(self._source, under.version, under.edge, pool)
            region.read(some)
            for block in some:
                for point in region.points_in(block):
                    if block in whole or point in wanted[block]:
                        yield from numbered(element_row(each, self._where) for each in region.at(point))

    def _split_rows(
        self,
        rows: TableRows,
        splits: Sequence[SplitsSupervoxels],
        known: Collection[Point],
        under: LabelsUnder,
    ) -> Iterator[pa.RecordBatch]:
        """The table's rows on supervoxels that were split, with those that are there now."""
        if under.labels is None:
            return
        supervoxels = {part[0] for split in splits for part in split.parts}
        found = rows.find(self._table, "sv", sorted(each for each in supervoxels if each <= HIGHEST))
        for batch in found.to_batches(max_chunksize=ROWS):
            points = list(zip(*(batch[name].to_pylist() for name in "xyz"), strict=True))
            others = batch.filter(pa.array([point not in known for point in points], pa.bool_()))
            now = under.supervoxels([point for point in points if point not in known])
            place = others.schema.get_field_index("sv")
            yield others.set_column(place, others.schema.field(place), pa.array(now, pa.int64()))

    def _batches(self, rows: Iterable[Numbered], under: LabelsUnder) -> Iterator[pa.RecordBatch]:
        for some in bounded(rows, lambda each: each[0].size):
            supervoxels = under.supervoxels([row.at for row, _ in some])
            yield element_batch(self._table, some, supervoxels, self._where)

    @property
    def _where(self) -> str:
        return f"GET elements of {self._name}"


def _left(events: Iterable[ElementEvent]) -> set[Point]:
    """Where there was an element that was deleted or moved."""
    return {
        event.at if isinstance(event, DeleteElement) else event.start
        for event in events
        if isinstance(event, DeleteElement | MoveElement)
    }
