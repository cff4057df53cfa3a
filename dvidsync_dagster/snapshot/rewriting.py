"""A change of rows by key: files that hold one of the keys are written anew, all others stay as they are.

delta-rs has this too (`merge`). It takes more time and memory, and holds thousands of rows at once, however
large they are: gigabytes of values.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from dvidsync_dagster.snapshot.files import Files, opened_file
from dvidsync_dagster.snapshot.store import Bucket

SORTED = 64 << 20
"""Bytes of rows that are sorted at once."""

_Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class File:
    """A file of a table, as its log tells.

    Args:
        least, most: of the table's first key column; None where the log does not tell.
    """

    path: str
    size: int
    rows: int
    least: Any = None
    most: Any = None


def files_of(delta: DeltaTable, column: str | None = None) -> list[File]:
    """A table's files, in the order in which they were written.

    Args:
        column: whose least and greatest values are asked for; files come in the order of them then.
    """
    told = pa.table(delta.get_add_actions(flatten=True)).sort_by("modification_time").to_pydict()
    nothing = [None] * len(told["path"])
    limits = (told.get(f"{what}.{column}", nothing) for what in ("min", "max"))
    columns = (told[name] for name in ("path", "size_bytes", "num_records"))
    files = [File(*each) for each in zip(*columns, *limits, strict=True)]
    return sorted(files, key=lambda file: (file.least is not None, file.least)) if column else files


def in_order(rows: Iterable[pa.Table], key: Sequence[str]) -> Iterator[pa.Table]:
    """Rows in the order of a key as far as memory allows: each `SORTED` bytes of them. Without a key, as they
    come."""
    for part in joined(rows, SORTED):
        yield part.sort_by([(name, "ascending") for name in key]) if key else part


def joined(tables: Iterable[pa.Table], least: int) -> Iterator[pa.Table]:
    """Tables put together, each of them of at least these bytes, but for the last one."""
    waiting: list[pa.Table] = []
    size = 0
    for each in tables:
        waiting.append(each)
        size += each.nbytes
        if size >= least:
            yield pa.concat_tables(waiting)
            waiting, size = [], 0
    if waiting:
        yield pa.concat_tables(waiting)


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
        """The files that are replaced.

        New rows come where their keys are, so that the files' statistics go on leaving out files.
        """
        looked = (
            (place, file, self._found(file)) for place, file in enumerate(there) if self.keys.may_be_in(file)
        )
        touched = [each for each in looked if any(len(at) for at, _ in each[2])]
        is_new = np.ones(len(self.put), bool)
        for _, _, found in touched:
            for _, places in found:
                is_new[places[places < len(is_new)]] = False
        new = self.put.filter(pa.array(is_new))
        new = new.sort_by([(name, "ascending") for name in self.keys.columns.column_names])
        before = 0
        for place, file, found in touched:
            if place > before + 1:
                self.files.cut()  # the span of keys that stays lies between
            before = place
            name = f"{self.folder}/{file.path}"
            for rows, (at, places) in zip(row_groups(self.bucket, name, self.put.schema), found, strict=True):
                self.files.add(self._changed(rows, at, places))
            count = self._up_to(new, file.most)
            self.files.add(new.slice(0, count))
            new = new.slice(count)
        self.files.add(new)
        return [file for _, file, _ in touched]

    def _found(self, file: File) -> list[tuple[_Places, _Places]]:
        """By row group, which rows have one of the keys, and which keys those are."""
        groups = row_groups(self.bucket, f"{self.folder}/{file.path}", self.keys.columns.schema)
        return [self.keys.found_in(rows) for rows in groups]

    def _up_to(self, new: pa.Table, most: Any) -> int:
        """How many of new rows, which are in order, come before those of the next file."""
        if most is None or not len(new):
            return 0
        first = new[self.keys.columns.column_names[0]]
        return int(pc.sum(pc.less_equal(first, pa.scalar(most, first.type))).as_py())

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
