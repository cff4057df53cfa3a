"""The tables of one branch at one consistent point, for readers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd
import pyarrow as pa
from deltalake import DeltaTable

from dvidsync_dagster.errors import ConfigurationError
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.outgoing_text import escaped
from dvidsync_dagster.snapshot.layout import table_folder
from dvidsync_dagster.snapshot.lines import LIBRARIES, Library, line
from dvidsync_dagster.snapshot.opening import count_rows, opened, query, quoted, storage_errors
from dvidsync_dagster.snapshot.store import Bucket
from dvidsync_dagster.snapshot.table import Column


@dataclass(frozen=True, slots=True)
class HeldTable:
    """What a table holds: how many rows, what a row is, and its columns with their texts."""

    rows: int
    text: str
    columns: tuple[Column, ...]


class Dataset:
    """The tables of one branch, all from one point of the log, whatever is written meanwhile.

    Reading raises StorageError, and ConfigurationError where there is no such table or column.

    Args:
        bucket: where it is.
        branch: its name.
        uuid: the branch's newest version at this point.
        log_time: up to this time of the source's clock the log is in the tables; None if it is not known.
        versions: Delta's version of each table, by its path.
        checkpoint: how far the log is in the tables, by topics and offsets; None for a point of the past.
        kept_versions: the committed versions that can be opened.
    """

    def __init__(
        self,
        bucket: Bucket,
        branch: str,
        *,
        uuid: str,
        log_time: datetime | None,
        versions: Mapping[str, int],
        checkpoint: Checkpoint | None = None,
        kept_versions: Iterable[str] = (),
    ) -> None:
        self.branch = branch
        self.uuid = uuid
        self.log_time = log_time
        self.checkpoint = checkpoint
        self.kept_versions = tuple(kept_versions)
        self._bucket = bucket
        self._versions = dict(sorted(versions.items()))
        self._opened: dict[str, DeltaTable] = {}

    def __repr__(self) -> str:
        at = self.log_time.isoformat() if self.log_time else "unknown"
        return (
            f"<{self._bucket.uri}, branch {escaped(self.branch)}, version {escaped(self.uuid)}, "
            f"log time {at}: {escaped(', '.join(self._versions))}>"
        )

    def __contains__(self, name: object) -> bool:
        return name in self._versions

    def __iter__(self) -> Iterator[str]:
        """The tables' names."""
        return iter(self._versions)

    def __getitem__(self, name: str) -> pd.DataFrame:
        """A whole table, such as ``dataset["segmentation/mapping"]``."""
        return self.frame(name)

    @property
    def tables(self) -> dict[str, HeldTable]:
        """All tables by name. Reads the tables' logs, and no rows."""
        return {name: self.held(name) for name in self._versions}

    def held(self, name: str) -> HeldTable:
        """What a table holds. Reads its log, and no rows."""
        delta = self._delta(name)
        with storage_errors(self._bucket, self.branch, name):
            text, rows = delta.metadata().description or "", count_rows(delta)
        return HeldTable(rows, text, self.columns(name))

    def columns(self, name: str) -> tuple[Column, ...]:
        """A table's columns with their texts."""
        return tuple(map(Column.of, self._schema(name)))

    def frame(self, name: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """A table, or these columns of it; the rows in no particular order.

        Labels are int64, or Int64 where one can be missing. Times are UTC. Maps are dicts.
        """
        table = self.arrow(name, columns)
        return pd.DataFrame({field.name: _series(table[field.name], field) for field in table.schema})

    def arrow(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """A table, or these columns of it, as Arrow has it."""
        schema = self._schema(name, columns)
        return pa.Table.from_batches(self.batches(name, columns), schema)

    def batches(self, name: str, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The same in batches of bounded size."""
        schema = self._schema(name, columns)
        with storage_errors(self._bucket, self.branch, name):
            for batch in query(self._delta(name), f"SELECT {', '.join(map(quoted, schema.names))} FROM here"):
                yield batch.cast(schema)

    def uri(self, name: str) -> str:
        """Where a table is."""
        return self._bucket.table_uri(table_folder(self.branch, self._known(name)))

    def delta_version(self, name: str) -> int:
        """Delta's version of a table at this point."""
        return self._versions[self._known(name)]

    def lines(self, library: Library) -> dict[str, str]:
        """For each table, the one line of Python with which `library` reads it at this point."""
        if library not in LIBRARIES:
            raise ConfigurationError(
                "library", f"there are no lines for {library!r}", f"There are for {', '.join(LIBRARIES)}."
            )
        return {
            name: line(library, self.uri(name), version, self.columns(name))
            for name, version in self._versions.items()
        }

    def _delta(self, name: str) -> DeltaTable:
        if name not in self._opened:
            self._opened[name] = opened(self._bucket, self.branch, name, self.delta_version(name))
        return self._opened[name]

    def _schema(self, name: str, columns: Sequence[str] | None = None) -> pa.Schema:
        schema = pa.schema(self._delta(name).schema())
        if columns is None:
            return schema
        unknown = [each for each in columns if each not in schema.names]
        if unknown or not columns:
            raise ConfigurationError(
                "columns",
                f"{escaped(name)} has no column {escaped(', '.join(unknown))}"
                if unknown
                else "none is named",
                f"It has: {escaped(', '.join(schema.names))}.",
            )
        return pa.schema([schema.field(each) for each in columns])

    def _known(self, name: str) -> str:
        if name not in self._versions:
            raise ConfigurationError(
                "table",
                f"the snapshot has no table {escaped(name)!r} at this point",
                f"It has: {escaped(', '.join(self._versions)) or 'none'}.",
            )
        return name


def _series(column: pa.ChunkedArray, field: pa.Field) -> pd.Series[Any]:
    """pandas makes floats of integers of which some are missing, and they hold no label above 2^53."""
    types = _WITH_MISSING.get if field.nullable else None
    series: pd.Series[Any] = column.to_pandas(types_mapper=types, maps_as_pydicts="strict")
    return series


_WITH_MISSING = {
    pa.int64(): pd.Int64Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int8(): pd.Int8Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}
