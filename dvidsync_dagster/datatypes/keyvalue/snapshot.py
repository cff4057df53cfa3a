"""Keyvalue instances in a snapshot: one table of keys and values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc

from dvidsync_dagster.datatypes.keyvalue.batches import fitting
from dvidsync_dagster.datatypes.keyvalue.comparison import VALUES
from dvidsync_dagster.datatypes.keyvalue.events import KeyEvent, PostKey
from dvidsync_dagster.datatypes.keyvalue.key_text import EXPLAINED, key_of, text_of
from dvidsync_dagster.datatypes.keyvalue.reading import KEYS_PER_REQUEST, read_keys, read_values
from dvidsync_dagster.datatypes.keyvalue.snapshot_items import value_pages
from dvidsync_dagster.datatypes.snapshot_side import Sift, SnapshotSide
from dvidsync_dagster.datatypes.table_rows import bounded, gone_keys, kept
from dvidsync_dagster.differences.digest import Page
from dvidsync_dagster.differences.items import Found
from dvidsync_dagster.differences.sides import DvidSide, Kind
from dvidsync_dagster.dvid.exact_json import is_json
from dvidsync_dagster.dvid.keyvalue import UNREADABLE, Keyvalue, fits_path, written
from dvidsync_dagster.dvid.patience import MIB
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.snapshot.layout import table_path
from dvidsync_dagster.snapshot.table import Change, Column, Table, TableRows

LARGEST = 128 * MIB
"""Bytes of a value that a table holds. Of a larger one it holds the size."""

LARGEST_JSON = 8 * MIB
"""Bytes of a value of which is told whether it is JSON."""

_PIECE = MIB
_ASKED_ONE_BY_ONE = 200
"""Keys; more of them are looked up in a listing of all."""


@dataclass(frozen=True, slots=True)
class _Row:
    """`value` is None if it is too large, and `digest` if it is not; `size` is its bytes in either case."""

    key: str
    value: bytes | None
    size: int
    digest: str | None = None

    @property
    def held(self) -> int:
        """Bytes of the row, more or less."""
        return len(self.key) + len(self.value or b"")


class KeyvalueSnapshot(SnapshotSide):
    """Keys and their values. One value at a time is whole in memory."""

    begins_empty = True

    @property
    def tables(self) -> Sequence[Table]:
        return (self._table,)

    @property
    def _table(self) -> Table:
        return Table(
            table_path(self.instance.name),
            f"One key of the keyvalue instance {self.instance.name}.",
            (
                Column("key", pa.string(), f"The key. {EXPLAINED}"),
                Column(
                    "value",
                    pa.binary(),
                    f"The value. Null: it has more than {LARGEST // MIB} MiB, and is at the source only.",
                    nullable=True,
                ),
                Column("size", pa.int64(), "Bytes of the value, also of one that is not here."),
                Column(
                    "digest",
                    pa.string(),
                    "BLAKE2b (8 bytes, hexadecimal) of a value that is not here. Null: it is here.",
                    nullable=True,
                ),
                Column(
                    "json",
                    pa.string(),
                    "The value as text, if it is JSON. Null: it is not, or has more than "
                    f"{LARGEST_JSON // MIB} MiB.",
                    nullable=True,
                ),
            ),
            ("key",),
        )

    def whole(self, version: str) -> Iterator[tuple[Table, Iterator[pa.RecordBatch]]]:
        side = DvidSide(self.source, version, self.instance.name)
        yield self._table, self._batches(_read(side, read_keys(side)))

    def pages(self, kind: Kind, rows: TableRows) -> Iterator[Page]:
        return value_pages(rows, self._table) if kind is VALUES else super().pages(kind, rows)

    def changes(self, events: Sequence[Event], version: str, rows: TableRows) -> Mapping[str, Change]:
        touched = [
            event for event in events if isinstance(event, KeyEvent) and event.instance == self.instance.name
        ]
        if not touched:
            return {}
        sizes = {event.key: event.size if isinstance(event, PostKey) else 0 for event in touched}
        return self._as_at_source(sizes, version, rows)

    def renewed(
        self, found: Sequence[Found], version: str, rows: TableRows, sift: Sift, at_ns: int
    ) -> Mapping[str, Change]:
        return self._as_at_source({key: 0 for each in found for key in each.keys.tolist()}, version, rows)

    def _as_at_source(self, sizes: Mapping[str, int], version: str, rows: TableRows) -> Mapping[str, Change]:
        """What the source has of some keys.

        Args:
            sizes: bytes of the value by key, as far as is known.
        """
        side = DvidSide(self.source, version, self.instance.name)
        gone: list[str] = []
        put = kept(self._table, self._batches(self._there(side, sizes, rows, gone)))
        return {self._table.path: Change(put, gone_keys(rows, self._table, list(map(text_of, gone))))}

    def _there(
        self, side: DvidSide, sizes: Mapping[str, int], rows: TableRows, gone: list[str]
    ) -> Iterator[_Row]:
        """What the source has of the keys that messages name; the others are added to `gone`.

        Args:
            sizes: bytes of the value by key, as far as is known.
        """
        plain = [key for key in sizes if UNREADABLE not in key]
        empty: list[str] = []
        for some in fitting([sizes[key] for key in plain]):
            for row in _read(side, plain[some]):
                if row.size:
                    yield row
                else:
                    # A key that is missing looks the same.
                    empty.append(row.key)
        there = _present(side, empty)
        yield from (_Row(key, b"", 0) for key in empty if key in there)
        gone += [key for key in empty if key not in there]
        texts = {key for key in sizes if UNREADABLE in key}
        if texts:
            yield from self._there_as(side, texts, rows, gone)

    def _there_as(self, side: DvidSide, texts: set[str], rows: TableRows, gone: list[str]) -> Iterator[_Row]:
        """The same of all keys that these messages can mean: a byte that is no UTF-8 is a U+FFFD there."""
        server = Keyvalue(side.client, side.name)
        found = [key for text in sorted(texts) for key in server.written_as(side.version, text)]
        yield from _read(side, found)
        gone += {key for key in self._odd_keys(rows) if written(key) in texts}.difference(found)

    def _odd_keys(self, rows: TableRows) -> Iterator[str]:
        """The keys of the table in whose texts there is a U+FFFD."""
        for batch in rows.batches(self._table, ("key",)):
            odd = batch.filter(pc.match_substring(batch["key"], UNREADABLE))
            yield from map(key_of, odd["key"].to_pylist())

    def _batches(self, rows: Iterable[_Row]) -> Iterator[pa.RecordBatch]:
        for some in bounded(rows, lambda row: row.held):
            columns = (
                [text_of(row.key) for row in some],
                [row.value for row in some],
                [row.size for row in some],
                [row.digest for row in some],
                [_json(row.value) for row in some],
            )
            fields = self._table.schema
            arrays = [pa.array(column, field.type) for column, field in zip(columns, fields, strict=True)]
            yield pa.record_batch(arrays, fields)


def _read(side: DvidSide, named: Iterable[str]) -> Iterator[_Row]:
    """The values of keys. One that is missing looks as if it was empty."""
    coming = iter(named)
    while some := list(islice(coming, KEYS_PER_REQUEST)):
        for key, file in zip(some, read_values(side, some), strict=True):
            yield _row(key, file)


def _row(key: str, file: IO[bytes]) -> _Row:
    pieces: list[bytes] = []
    size = 0
    digest = blake2b(digest_size=8)
    while piece := file.read(_PIECE):
        size += len(piece)
        digest.update(piece)
        if size <= LARGEST:
            pieces.append(piece)
        else:
            pieces.clear()
    return _Row(key, b"".join(pieces), size) if size <= LARGEST else _Row(key, None, size, digest.hexdigest())


def _present(side: DvidSide, named: Sequence[str]) -> set[str]:
    """Those of the keys that are there, whatever their values."""
    if len(named) > _ASKED_ONE_BY_ONE or not all(map(fits_path, named)):
        wanted = set(named)
        return {key for key in read_keys(side) if key in wanted}
    server = Keyvalue(side.client, side.name)
    return {key for key in named if server.exists(side.version, key)}


def _json(value: bytes | None) -> str | None:
    """The text of a value that is JSON."""
    if not value or len(value) > LARGEST_JSON:
        return None
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    return text if is_json(text) else None
