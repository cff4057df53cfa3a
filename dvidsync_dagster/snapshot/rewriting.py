"""A change of rows by key: files that hold one of the keys are written anew, all others stay as they are.

delta-rs has this too (`merge`). It takes more time and memory, and holds thousands of rows at once, however
large they are: gigabytes of values.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from dvidsync_dagster.snapshot.files import Files, opened_file
from dvidsync_dagster.snapshot.store import Bucket

_Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class File:
    """A file of a table, as its log tells.

    Args:
        least, most: of the table's first key column; None where the log does not tell.
    """

    path: str
    size: int
    least: Any = None
    most: Any = None


def files_of(delta: DeltaTable, column: str | None = None) -> list[File]:
    """A table's files.

    Args:
        column: whose least and greatest values are asked for; those come in the order of them.
    """
    told = pa.table(delta.get_add_actions(flatten=True)).to_pydict()
    nothing = [None] * len(told["path"])
    limits = (told.get(f"{what}.{column}", nothing) for what in ("min", "max"))
    files = [File(*each) for each in zip(told["path"], told["size_bytes"], *limits, strict=True)]
    return sorted(files, key=lambda file: (file.least is not None, file.least))


class Keys:
    """The keys of a change: those of the rows that are put, in their order, then those of rows that go.

    Args:
        columns: the key columns.
    """

    def __init__(self, columns: pa.Table) -> None:
        self.columns = columns.combine_chunks()
        self._names = columns.column_names
        self._ascending: list[Any] = sorted(columns[self._names[0]].unique().to_pylist())
        self._by_key: dict[tuple[Any, ...], int] = {}

    def may_be_in(self, file: File) -> bool:
        if file.least is None or file.most is None:
            return True
        place = bisect_left(self._ascending, file.least)
        return place < len(self._ascending) and self._ascending[place] <= file.most

    def found_in(self, rows: pa.Table) -> tuple[_Places, _Places]:
        """Which rows have one of the keys, and which keys those are, both by their places."""
        [first, *others] = self._names
        if not others:
            places = pc.index_in(rows[first], self.columns[first]).combine_chunks()
            at = np.flatnonzero(places.is_valid().to_numpy(zero_copy_only=False))
            return at, places.drop_null().to_numpy().astype(np.int64)
        if not self._by_key:
            self._by_key = {key: place for place, key in enumerate(_tuples(self.columns))}
        there = pc.is_in(rows[first], self.columns[first])
        for name in others:
            there = pc.and_(there, pc.is_in(rows[name], self.columns[name]))
        at = np.flatnonzero(there.to_numpy())
        places = np.array([self._by_key.get(key, -1) for key in _tuples(rows.take(at))], np.int64)
        return at[places >= 0], places[places >= 0]


@dataclass(frozen=True, slots=True)
class Rewriting:
    """What a change does to a table's files.

    Args:
        folder: the table's.
        put: rows with all columns of the table.
        keys: theirs, and those of rows that go.
        files: where the rows of touched files go, and those that are new.
    """

    bucket: Bucket
    folder: str
    put: pa.Table
    keys: Keys
    files: Files

    def run(self, there: Iterable[File]) -> list[File]:
        """The files that are replaced."""
        replaced = []
        new = np.ones(len(self.put), bool)
        for each in there:
            if not self.keys.may_be_in(each):
                continue
            name = f"{self.folder}/{each.path}"
            found = [
                self.keys.found_in(rows) for rows in row_groups(self.bucket, name, self.keys.columns.schema)
            ]
            if not any(len(at) for at, _ in found):
                continue
            replaced.append(each)
            for rows, (at, places) in zip(row_groups(self.bucket, name, self.put.schema), found, strict=True):
                self.files.add(self._changed(rows, at, places))
                new[places[places < len(new)]] = False
        self.files.add(self.put.filter(pa.array(new)))
        return replaced

    def _changed(self, rows: pa.Table, at: _Places, places: _Places) -> pa.Table:
        """Rows of a file with those that are put in the places of those that were there."""
        if not len(at):
            return rows
        taken = np.arange(len(rows))
        taken[at] = len(rows) + places
        gone = taken >= len(rows) + len(self.put)
        return pa.concat_tables([rows, self.put]).take(taken[~gone])


def row_groups(bucket: Bucket, name: str, schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows of a file by row group; a column that came later is empty in it. Raises StorageError."""
    with opened_file(bucket, name) as file:
        names = [each for each in schema.names if each in file.schema_arrow.names]
        for number in range(file.num_row_groups):
            rows = file.read_row_group(number, columns=names)
            columns = [
                rows[each.name].cast(each.type) if each.name in names else pa.nulls(len(rows), each.type)
                for each in schema
            ]
            yield pa.table(columns, schema=schema)


def _tuples(rows: pa.Table) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in rows.columns), strict=True)
