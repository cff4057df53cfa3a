"""Elements of a table that are looked up by their points, while all of its rows pass by."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dvidsync_dagster.differences.digest import mixed
from dvidsync_dagster.dvid.annotation import Point
from dvidsync_dagster.snapshot.table import Table, TableRows

Coordinates = Sequence[npt.NDArray[np.int64]]
"""x, y and z, of many."""

_XYZ = ("x", "y", "z")


def ordinals_at(rows: TableRows, table: Table, points: Collection[Point]) -> Iterator[tuple[Point, int]]:
    """The points at which the table has elements, and the ordinals of these, in any order."""
    wanted = _Wanted(points)
    for batch in rows.batches(table, (*_XYZ, "ordinal")) if points else ():
        places, found = wanted.among(_columns(batch))
        yield from zip(found, batch["ordinal"].take(pa.array(places)).to_pylist(), strict=True)


def points_in(rows: TableRows, table: Table, blocks: Collection[Point], edge: Point) -> Iterator[Point]:
    """The points in some blocks at which the table has elements.

    Args:
        edge: voxels along each side of a block.
    """
    wanted = _Wanted(blocks)
    for batch in rows.batches(table, _XYZ) if blocks else ():
        columns = _columns(batch)
        places, _ = wanted.among([column // size for column, size in zip(columns, edge, strict=True)])
        yield from _points(columns, places)


def points_that_lead_to(rows: TableRows, table: Table, ends: Collection[Point]) -> Iterator[Point]:
    """The points at which the table has elements with a relation to one of the ends."""
    wanted = _Wanted(ends)
    for batch in rows.batches(table, (*_XYZ, "rels")) if ends else ():
        relations = batch["rels"].flatten()
        places, _ = wanted.among([_integers(relations.field(name)) for name in _XYZ])
        # A column can be a slice of a longer one: its own parents, not those of the whole.
        parents = pc.list_parent_indices(batch["rels"]).to_numpy(zero_copy_only=False)
        yield from _points(_columns(batch), np.unique(parents[places]))


class _Wanted:
    """Points that are looked for among many: by hashes at first."""

    def __init__(self, points: Collection[Point]) -> None:
        self._points = frozenset(points)
        columns = np.array(sorted(self._points), np.int64).reshape(-1, 3).T
        self._hashes = np.unique(_hashed(list(columns)))

    def among(self, columns: Coordinates) -> tuple[npt.NDArray[np.intp], list[Point]]:
        """Where they are among others, and which."""
        if not len(self._hashes) or not len(columns[0]):
            return np.empty(0, np.intp), []
        hashes = _hashed(columns)
        nearest = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
        perhaps = np.flatnonzero(self._hashes[nearest] == hashes)
        found = _points(columns, perhaps)
        sure = [place for place, point in enumerate(found) if point in self._points]
        return perhaps[sure], [found[place] for place in sure]


def _hashed(columns: Coordinates) -> npt.NDArray[np.uint64]:
    x, y, z = (np.asarray(column).astype(np.uint64) for column in columns)
    return mixed(x ^ mixed(y ^ mixed(z)))


def _points(columns: Coordinates, places: npt.NDArray[np.intp]) -> list[Point]:
    x, y, z = (column[places].tolist() for column in columns)
    return list(zip(x, y, z, strict=True))


def _columns(batch: pa.RecordBatch) -> Coordinates:
    return [_integers(batch[name]) for name in _XYZ]


def _integers(column: pa.Array) -> npt.NDArray[np.int64]:
    numbers: npt.NDArray[np.int64] = column.to_numpy(zero_copy_only=False).astype(np.int64)
    return numbers
