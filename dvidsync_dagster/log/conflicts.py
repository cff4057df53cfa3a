"""The conflicts of a destination over all runs: operations that were left out, kept as Parquet files.

A change of the table is a new file, written before the checkpoint that passes its operations. What was
written last about an operation counts. A row is open while source and destination differ by it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.events.event import Event, NumberedEvent, Rank
from dvidsync_dagster.events.origin import Origin, key_text
from dvidsync_dagster.log.folder import Folder
from dvidsync_dagster.log.quarantine import quarantine_uri
from dvidsync_dagster.outgoing_text import escaped

State = Literal["open", "closed"]

COLUMNS = (
    "state",
    "time",
    "action",
    "instance",
    "version",
    "mutation_id",
    "touched",
    "found",
    "depends_on",
    "where",
    "since",
    "closed",
    "why_closed",
)

_FOUND = 1500
_SHOWN = 200
_FILES = 64
_SUFFIX = ".parquet"
_TEXTS = pa.list_(pa.string())
_SCHEMA = pa.schema(
    {
        "topic": pa.string(),
        "partition": pa.int32(),
        "offset": pa.int64(),
        "key": pa.int64(),
        "action": pa.string(),
        "typename": pa.string(),
        "instance": pa.string(),
        "version": pa.string(),
        "mutation_id": pa.uint64(),
        "era": pa.int64(),
        "touched": _TEXTS,
        "depends_on": _TEXTS,
        "found": pa.string(),
        "state": pa.string(),
        "since": pa.timestamp("us", "UTC"),
        "closed": pa.timestamp("us", "UTC"),
        "why_closed": pa.string(),
    }
)
_ORIGIN = ("key", "topic", "partition", "offset")


@dataclass(frozen=True, slots=True)
class ConflictRow:
    """An event that was left out because the destination could not take it.

    Args:
        touched: the items that it touches: bodies, keys, neurons or points, as text.
        depends_on: places in the log of events that were left out before, and that it depends on.
        found: why, for people.
    """

    origin: Origin
    action: str
    typename: str
    instance: str
    version: str
    mutation_id: int | None
    era: int
    touched: tuple[str, ...]
    depends_on: tuple[str, ...]
    found: str

    @classmethod
    def of(
        cls, event: Event, found: str, touched: Sequence[str] = (), depends_on: Sequence[str] = ()
    ) -> ConflictRow:
        numbered = event if isinstance(event, NumberedEvent) else None
        return cls(
            origin=event.origin,
            action=event.action,
            typename=event.typename,
            instance=event.instance,
            version=event.version,
            mutation_id=numbered.mutation_id if numbered is not None else None,
            era=numbered.era if numbered is not None else 0,
            touched=tuple(touched),
            depends_on=tuple(depends_on),
            found=escaped(found, _FOUND),
        )

    @property
    def where(self) -> str:
        """Its place in the log, for people."""
        return str(self.origin)

    @property
    def rank(self) -> Rank:
        """Its place among the events that change one body."""
        return (self.era, self.mutation_id or 0)


@dataclass(frozen=True, slots=True)
class KeptConflict:
    """A row of the table. `since` is when it was left out, `closed` when that was over, and `why_closed`
    how."""

    row: ConflictRow
    state: State
    since: datetime
    closed: datetime | None = None
    why_closed: str = ""

    def as_json(self) -> dict[str, Any]:
        """The `COLUMNS`, for people and programs."""
        row = self.row
        return {
            "state": self.state,
            "time": key_text(row.origin.key_ns),
            "action": row.action,
            "instance": row.instance,
            "version": row.version,
            "mutation_id": row.mutation_id,
            "touched": [escaped(each, _SHOWN) for each in row.touched],
            "found": row.found,
            "depends_on": list(row.depends_on),
            "where": row.where,
            "since": self.since.isoformat(timespec="seconds"),
            "closed": self.closed.isoformat(timespec="seconds") if self.closed is not None else None,
            "why_closed": self.why_closed,
        }


class ConflictTable:
    """The conflicts of one destination.

    Args:
        uri: of the quarantine, which it lies in: a folder or URI.
        root: the repo's root UUID.
        destination: its name.

    Every method raises `LogError` if the store cannot be read or written.

    Raises:
        ConfigurationError: no such kind of store.
    """

    def __init__(self, uri: str, root: str, destination: str) -> None:
        self._folder = Folder(uri, "quarantine", root, destination, "conflicts")
        self._read: dict[str, list[KeptConflict]] = {}

    @property
    def path(self) -> str:
        return self._folder.path

    def rows(self) -> list[KeptConflict]:
        """All of them, in log order."""
        names = self._names()
        self._read = {name: self._read.get(name) or self._rows(name) for name in names}
        latest = {kept.row.origin: kept for name in names for kept in self._read[name]}
        return [latest[origin] for origin in sorted(latest)]

    def open(self) -> list[ConflictRow]:
        """Those by which source and destination differ."""
        return [kept.row for kept in self.rows() if kept.state == "open"]

    def add(self, rows: Sequence[ConflictRow]) -> None:
        """Open rows. Those that are open already stay as they are."""
        known = {row.origin for row in self.open()} if rows else set()
        now = datetime.now(UTC)
        self._write([KeptConflict(row, "open", now) for row in rows if row.origin not in known])

    def close(self, rows: Sequence[ConflictRow], why: str) -> None:
        """The rows are no differences anymore."""
        closing = {row.origin for row in rows}
        now = datetime.now(UTC)
        self._write(
            [
                replace(kept, state="closed", closed=now, why_closed=why)
                for kept in (self.rows() if closing else ())
                if kept.row.origin in closing and kept.state == "open"
            ]
        )

    def _names(self) -> list[str]:
        return [name for name in self._folder.names() if name.endswith(_SUFFIX) and name[0] != "."]

    def _rows(self, name: str) -> list[KeptConflict]:
        with self._folder.errors("read", name):
            path = self._folder.path_of(name)
            table = pq.read_table(path, filesystem=self._folder.files, partitioning=None)
            return [_kept(cells) for cells in table.select(_SCHEMA.names).cast(_SCHEMA).to_pylist()]

    def _write(self, rows: Sequence[KeptConflict]) -> None:
        if not rows:
            return
        before = self._names()
        number = int(before[-1].partition("-")[0]) + 1 if before else 1
        self._write_file(number, rows)
        if len(before) >= _FILES:
            whole = self.rows()
            self._write_file(number + 1, whole)
            for name in self._names()[:-1]:
                self._folder.remove(name)

    def _write_file(self, number: int, rows: Sequence[KeptConflict]) -> None:
        """Its number tells the order, the rest of its name what it holds."""
        table = pa.Table.from_pylist([_cells(kept) for kept in rows], schema=_SCHEMA)
        digest = hashlib.sha256(repr(table.to_pylist()).encode()).hexdigest()[:16]
        self._folder.write_table(f"{number:010d}-{digest}{_SUFFIX}", table)


def conflicts_of(config: SyncConfig, destination: str) -> ConflictTable:
    """The conflict table of a destination, beside its quarantine.

    Raises:
        ConfigurationError: no such kind of store.
    """
    return ConflictTable(quarantine_uri(config), config.repo, destination)


def _cells(kept: KeptConflict) -> dict[str, Any]:
    row, origin = kept.row, kept.row.origin
    return {
        "topic": origin.topic,
        "partition": origin.partition,
        "offset": origin.offset,
        "key": origin.key_ns,
        "action": row.action,
        "typename": row.typename,
        "instance": row.instance,
        "version": row.version,
        "mutation_id": row.mutation_id,
        "era": row.era,
        "touched": list(row.touched),
        "depends_on": list(row.depends_on),
        "found": row.found,
        "state": kept.state,
        "since": kept.since,
        "closed": kept.closed,
        "why_closed": kept.why_closed,
    }


def _kept(cells: dict[str, Any]) -> KeptConflict:
    key, topic, partition, offset = (cells.pop(name) for name in _ORIGIN)
    state, since, closed, why = (cells.pop(name) for name in ("state", "since", "closed", "why_closed"))
    cells |= {name: tuple(cells[name] or ()) for name in ("touched", "depends_on")}
    row = ConflictRow(origin=Origin(key, topic, partition, offset), **cells)
    return KeptConflict(row, state, since, closed, why)
