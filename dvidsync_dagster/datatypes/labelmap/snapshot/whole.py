"""All that a labelmap has in a committed version, as the rows of its tables.

Some arrays hold it: about 100 bytes for each supervoxel and each body.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_fixed

from dvidsync_dagster.datatypes.labelmap.empty_supervoxels import empty_among
from dvidsync_dagster.datatypes.labelmap.snapshot.all_bodies import AllBodies, places_in, read_bodies
from dvidsync_dagster.datatypes.labelmap.snapshot.tables import Labels, LabelTables, unfit
from dvidsync_dagster.dvid.again import is_passing
from dvidsync_dagster.dvid.label_lists import mapping_pairs, split_halves
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.snapshot.table import HIGHEST, Table

ROWS = 500_000
"""Of a batch."""


def whole(
    source: Labelmap, version: str, tables: LabelTables
) -> Iterator[tuple[Table, Iterator[pa.RecordBatch]]]:
    """Table by table, sorted by key. No edits are known of before.

    Raises:
        Unfit: a label from 2^63 up.
        ServerError: the source does not answer.
    """
    with ThreadPoolExecutor(1) as beside:
        moved = beside.submit(_read_moved, source, version, tables)
        bodies = read_bodies(source, version, tables.bodies.path)
        mapping = _mapping(source, version, bodies, *moved.result())
    counts = np.bincount(mapping.places, minlength=len(bodies))
    yield tables.mapping, mapping.batches(bodies, tables.mapping.schema)
    yield tables.edits, iter(())
    del mapping, moved
    yield tables.bodies, _body_batches(bodies, counts, tables.bodies.schema)


@dataclass(frozen=True, slots=True)
class _Mapping:
    """Arrays of one length.

    Args:
        supervoxels: ascending.
        places: of their bodies among all bodies.
    """

    supervoxels: Labels
    places: npt.NDArray[np.intp]

    def batches(self, bodies: AllBodies, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        for start in range(0, len(self.supervoxels), ROWS):
            some = slice(start, start + ROWS)
            columns = [self.supervoxels[some], bodies.labels[self.places[some]]]
            yield pa.record_batch([pa.array(column) for column in columns], schema)


def _mapping(source: Labelmap, version: str, bodies: AllBodies, moved: Labels, into: Labels) -> _Mapping:
    """Every supervoxel with its body.

    DVID lists those that are in another body than their own. The others are bodies with their own label, as
    far as a body has the supervoxel of its own label: docs/dvid.md, "Bulk reads". A body that a cleave, a
    split or a renumber has named has none.
    """
    itself = np.flatnonzero(bodies.holds_itself & ~places_in(moved, bodies.labels)[1])
    # Of a body that does not exist there are no voxels, whatever is mapped to it.
    places, there = places_in(bodies.labels, into)
    moved, places = moved[there], places[there]
    is_empty = np.zeros(len(moved), np.bool_)
    is_empty[places_in(moved, _empty_halves(source, version, moved))[0]] = True
    supervoxels = np.concatenate([moved[~is_empty], bodies.labels[itself]])
    # Of two ascending arrays after each other this kind is a mere merge.
    order = np.argsort(supervoxels, kind="stable")
    return _Mapping(supervoxels[order], np.concatenate([places[~is_empty], itself])[order])


@retry(
    # An answer that broke off is read anew.
    retry=retry_if_exception(is_passing),
    stop=stop_after_attempt(5),
    wait=wait_fixed(1),
    reraise=True,
)
def _read_moved(source: Labelmap, version: str, tables: LabelTables) -> tuple[Labels, Labels]:
    """Supervoxels, ascending, and their bodies; 0 for one that does not exist."""
    pieces = [np.empty((0, 2), np.uint64)]
    for listed in mapping_pairs(source.client, version, source.name):
        # What was there once is listed for good (docs/dvid.md, "Bulk reads").
        pairs = listed[(listed[:, 1] != 0) | (listed[:, 0] <= HIGHEST)]
        highest = pairs.max(initial=0)
        if highest > HIGHEST:
            raise unfit(tables.mapping.path, int(highest), f"the mapping of version {version}")
        pieces.append(pairs)
    every = np.concatenate(pieces).view(np.int64)
    order = np.argsort(every[:, 0])
    return every[order, 0], every[order, 1]


def _empty_halves(source: Labelmap, version: str, supervoxels: Labels) -> Labels:
    """Those of these supervoxels, which are ascending, that a split has left without voxels."""
    halves = np.array(split_halves(source.client, version, source.name), np.uint64)
    known = np.unique(halves[halves <= HIGHEST].astype(np.int64))
    asked = known[places_in(supervoxels, known)[1]]
    return np.array(sorted(empty_among(version, asked.tolist(), source)), np.int64)


def _body_batches(
    bodies: AllBodies, counts: npt.NDArray[np.intp], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(bodies), ROWS):
        columns = {
            "body": pa.array(bodies.labels[start : start + ROWS]),
            "voxels": pa.array(bodies.voxels[start : start + ROWS]),
            "supervoxels": pa.array(counts[start : start + ROWS]),
        }
        changed = bodies.changed.slice(start, ROWS)
        columns |= {
            name: changed[name].cast(schema.field(name).type).combine_chunks()
            for name in changed.column_names
        }
        yield pa.record_batch([columns[field.name] for field in schema], schema)
