"""What the tables of a snapshot are made of, and how a stretch of the log changes them: plain data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy.typing as npt
import pyarrow as pa

HIGHEST = 2**63 - 1
"""The highest whole number that a table holds."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Args:
        text: what it holds, in which unit, for the readers of the table.
        nullable: it can be unknown, or there can be none; `text` says what that means.
    """

    name: str
    type: pa.DataType
    text: str
    nullable: bool = False

    @classmethod
    def of(cls, field: pa.Field) -> Column:
        """The column that a field of a table's schema is."""
        text = (field.metadata or {}).get(b"comment", b"").decode()
        return cls(field.name, field.type, text, field.nullable)


@dataclass(frozen=True, slots=True)
class Table:
    """One table.

    Args:
        path: below the branch's folder, such as ``segmentation/mapping``.
        text: what a row is.
        key: the columns that tell a row from others; () for a table that only grows.
    """

    path: str
    text: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()

    @property
    def schema(self) -> pa.Schema:
        """With the columns' texts as Delta keeps them."""
        return pa.schema(
            [
                pa.field(each.name, each.type, each.nullable, metadata={"comment": each.text})
                for each in self.columns
            ]
        )


@dataclass(frozen=True, slots=True)
class Change:
    """What changes in one table.

    Args:
        put: rows of the table's schema, each key once: they replace what has their key. To a table without
            a key they are appended in this order.
        gone: the key columns of rows that are deleted, none of which is in `put`; None for none.
        table: the table as it is with this change, where it has more columns than before (which can be null)
            or columns of other types; None if it is as it was.
        anew: all rows of the table as it is with this change, once. The table is written anew with them,
            because columns have other types, or because the log does not tell all; `put` and `gone` then only
            tell what changed, as far as that is known. None: it is not.
    """

    put: pa.Table
    gone: pa.Table | None = None
    table: Table | None = None
    anew: Iterator[pa.RecordBatch] | None = None

    def __len__(self) -> int:
        """How many rows change, as far as that is known; 0 if nothing changes."""
        tables = [self.put] if self.gone is None else [self.put, self.gone]
        return sum(len(table) for table in tables) or int(self.anew is not None)


SAMPLE = 5
"""Rows of a report's sample."""


@dataclass(frozen=True, slots=True)
class RowsChanged:
    """What was done to a table: rows that were written (new ones, changed ones) and deleted, and the bytes of
    the files that were written for it."""

    written: int = 0
    deleted: int = 0
    bytes_written: int = 0


@dataclass(frozen=True, slots=True)
class TableReport:
    """A table of a snapshot, and what became of it.

    Args:
        path, text: as those of `Table`.
        schema: all columns that it has, with their texts (``comment``).
        uri: where it is, without login.
        version: Delta's.
        branch: of the snapshot.
        branch_version: the branch's newest version that is in it.
        rows: how many it has.
        size: bytes of the files that hold them.
        sample: some rows, of those that were written if any were; `SAMPLE` at most. What is large in them is
            text that says so.
        changed: what was done to it; None if it is only told how it stands.
    """

    path: str
    text: str
    schema: pa.Schema
    uri: str
    version: int
    branch: str
    branch_version: str
    rows: int
    size: int
    sample: pa.Table
    changed: RowsChanged | None = None


class TableRows(Protocol):
    """What the tables hold before a change."""

    def schema(self, table: Table) -> pa.Schema:
        """The columns that the table has, with their texts (``comment``): these, and perhaps more."""
        ...

    def find(self, table: Table, column: str, values: npt.NDArray[Any] | list[Any]) -> pa.Table:
        """The rows whose `column` has one of these values, in any order, with the table's schema."""
        ...

    def batches(self, table: Table, columns: tuple[str, ...] | None = None) -> Iterator[pa.RecordBatch]:
        """All rows, in any order; without `columns`, all of these."""
        ...
