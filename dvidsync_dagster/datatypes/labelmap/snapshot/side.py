"""A labelmap's half of a snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from dvidsync_dagster.datatypes.labelmap.comparison import MAPPING, SIZES
from dvidsync_dagster.datatypes.labelmap.events import BodyEvent
from dvidsync_dagster.datatypes.labelmap.snapshot.changes import changes
from dvidsync_dagster.datatypes.labelmap.snapshot.items import bodies_of, mapping_pages, size_pages
from dvidsync_dagster.datatypes.labelmap.snapshot.renewing import renewed
from dvidsync_dagster.datatypes.labelmap.snapshot.tables import tables_of
from dvidsync_dagster.datatypes.labelmap.snapshot.whole import whole
from dvidsync_dagster.datatypes.snapshot_side import Sift, SnapshotSide
from dvidsync_dagster.differences.digest import Numbers, Page
from dvidsync_dagster.differences.items import Found
from dvidsync_dagster.differences.sides import Kind
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.snapshot.table import Change, Table, TableRows


class LabelmapSnapshot(SnapshotSide):
    """Which body each supervoxel is in, what changed that, and how large bodies are.

    They follow from the log alone. The source is asked only for what messages leave to it: blobs, supervoxels
    that a split may have left without voxels, and voxels where messages do not tell them.
    """

    def __init__(self, source: Transport, instance: Instance) -> None:
        super().__init__(source, instance)
        self._tables = tables_of(instance.name)
        self._labelmap = Labelmap(source, instance.name)

    @property
    def tables(self) -> Sequence[Table]:
        return (self._tables.mapping, self._tables.edits, self._tables.bodies)

    def whole(self, version: str) -> Iterator[tuple[Table, Iterator[pa.RecordBatch]]]:
        return whole(self._labelmap, version, self._tables)

    def changes(self, events: Sequence[Event], version: str, rows: TableRows) -> Mapping[str, Change]:
        own = [
            event for event in events if isinstance(event, BodyEvent) and event.instance == self.instance.name
        ]
        return changes(own, self._tables, self._labelmap, rows) if own else {}

    def concerns(self, event: Event) -> bool:
        """What only moves a counter of labels changes no table."""
        return isinstance(event, BodyEvent)

    def renewed(
        self, found: Sequence[Found], version: str, rows: TableRows, sift: Sift, at_ns: int
    ) -> Mapping[str, Change] | None:
        return renewed(found, version, self._tables, self._labelmap, rows, sift, at_ns)

    def pages(self, kind: Kind, rows: TableRows) -> Iterator[Page]:
        if kind is MAPPING:
            return mapping_pages(rows, self._tables.mapping)
        if kind is SIZES:
            return size_pages(rows, self._tables.bodies)
        return super().pages(kind, rows)

    def values(self, kind: Kind, keys: Sequence[Any], rows: TableRows) -> Numbers:
        if kind is MAPPING:
            return bodies_of(rows, self._tables.mapping, keys)
        return super().values(kind, keys, rows)
