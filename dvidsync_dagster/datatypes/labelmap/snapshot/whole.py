"""All that a labelmap has in a committed version, as the rows of its tables.

Some arrays hold it: about 100 bytes for each supervoxel and each body.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_fixed

from dvidsync_dagster.datatypes.labelmap.empty_supervoxels import empty_among
from dvidsync_dagster.datatypes.labelmap.snapshot.all_bodies import SomeBodies, places_in, reading_bodies
from dvidsync_dagster.datatypes.labelmap.snapshot.tables import Labels, LabelTables, unfit
from dvidsync_dagster.dvid.again import is_passing
from dvidsync_dagster.dvid.label_lists import mapping_pairs, splits
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.snapshot.table import HIGHEST, Table

ROWS = 500_000
"""Of a batch of supervoxels."""

_NONE = np.empty(0, np.int64)


def whole(
    source: Labelmap, version: str, tables: LabelTables
) -> Iterator[tuple[Table, Iterator[pa.RecordBatch]]]:
    """Table by table, sorted by key. Bodies come while others are still read. No edits are known of before.

    Raises:
        Unfit: a label from 2^63 up.
        ServerError: the source does not answer.
    """
    with ThreadPoolExecutor(1) as beside:
        moving = beside.submit(_read_moved, source, version, tables)
        with reading_bodies(source, version, tables.bodies.path) as parts:
            supervoxels = _Supervoxels(moving.result())
            rows = (supervoxels.rows_of(bodies, tables.bodies.schema) for bodies in parts)
            yield tables.bodies, rows
            for _ in rows:  # what nobody wanted tells of supervoxels too
                pass
    yield tables.mapping, supervoxels.batches(tables.mapping.schema)
    yield tables.edits, iter(())


@dataclass(frozen=True, slots=True)
class _Moved:
    """Supervoxels that are in another body than their own. Arrays of one length.

    Args:
        supervoxels: ascending.
        bodies: of some there is no body.
    """

    supervoxels: Labels
    bodies: Labels


class _Supervoxels:
    """Every supervoxel with its body, known as soon as all bodies have come.

    DVID lists those that are in another body than their own. The others are bodies with their own label, as
    far as a body has the supervoxel of its own label: docs/dvid.md, "Bulk reads". A body that a cleave, a
    split or a renumber has named has none.
    """

    def __init__(self, moved: _Moved) -> None:
        self._moved = moved
        self._into = np.sort(moved.bodies)
        self._bodies: list[Labels] = []
        self._itself: list[Labels] = []

    def rows_of(self, bodies: SomeBodies, schema: pa.Schema) -> pa.RecordBatch:
        """Rows of the table of bodies."""
        labels = bodies.labels
        is_itself = bodies.holds_itself & ~places_in(self._moved.supervoxels, labels)[1]
        self._bodies.append(labels)
        self._itself.append(labels[is_itself])
        counts = np.searchsorted(self._into, labels, "right") - np.searchsorted(self._into, labels)
        columns = {
            "body": pa.array(labels),
            "voxels": pa.array(bodies.voxels),
            "supervoxels": pa.array(counts + is_itself),
        }
        changed = bodies.changed
        columns |= {name: changed[name].cast(schema.field(name).type) for name in changed.schema.names}
        return pa.record_batch([columns[field.name] for field in schema], schema)

    def batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Rows of the table of supervoxels."""
        moved = self._moved
        bodies, itself = (np.concatenate([*parts, _NONE]) for parts in (self._bodies, self._itself))
        # Of a body that does not exist there are no voxels, whatever is mapped to it. Mostly all do.
        into = np.unique(self._into)
        gone = into[~places_in(bodies, into)[1]]
        there = np.isin(moved.bodies, gone, invert=True)
        supervoxels = np.concatenate([moved.supervoxels[there], itself])
        bodies = np.concatenate([moved.bodies[there], itself])
        # Of two ascending arrays after each other this kind is a mere merge.
        order = np.argsort(supervoxels, kind="stable")
        for start in range(0, len(order), ROWS):
            some = order[start : start + ROWS]
            yield pa.record_batch([pa.array(supervoxels[some]), pa.array(bodies[some])], schema)


@retry(
    # An answer that broke off is read anew.
    retry=retry_if_exception(is_passing),
    stop=stop_after_attempt(5),
    wait=wait_fixed(1),
    reraise=True,
)
def _read_moved(source: Labelmap, version: str, tables: LabelTables) -> _Moved:
    pieces = [np.empty((0, 2), np.uint64)]
    for listed in mapping_pairs(source.client, version, source.name):
        # What was there once is listed for good (docs/dvid.md, "Bulk reads").
        pairs = listed[(listed[:, 1] != 0) | (listed[:, 0] <= HIGHEST)]
        highest = pairs.max(initial=0)
        if highest > HIGHEST:
            raise unfit(tables.mapping.path, int(highest), f"the mapping of version {version}")
        pieces.append(pairs)
    every = np.concatenate(pieces).view(np.int64)
    every = every[np.argsort(every[:, 0])]
    is_empty = np.zeros(len(every), np.bool_)
    is_empty[places_in(every[:, 0], _empty_halves(source, version, every[:, 0]))[0]] = True
    supervoxels, bodies = every[~is_empty].T
    return _Moved(supervoxels.copy(), bodies.copy())


def _empty_halves(source: Labelmap, version: str, supervoxels: Labels) -> Labels:
    """Those of these supervoxels, which are ascending, that a split has left without voxels."""
    listed = splits(source.client, version, source.name)
    halves = np.array([half for *_, remain, split in listed for half in (remain, split)], np.uint64)
    known = np.unique(halves[halves <= HIGHEST].astype(np.int64))
    asked = known[places_in(supervoxels, known)[1]]
    return np.array(sorted(empty_among(version, asked.tolist(), source)), np.int64)
