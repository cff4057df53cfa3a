"""The quarantine of a destination: records that could not be decoded, kept whole as Parquet files.

A run writes a file per chunk, before the checkpoint that passes its records. The same records kept again are
the same file. What becomes of a record (let pass, applied, dropped) is written in a new file in place of the
old one; where a killed command left both, the later state counts.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.errors import ConfigurationError
from dvidsync_dagster.events.origin import Origin
from dvidsync_dagster.log.folder import Folder
from dvidsync_dagster.log.record import Record
from dvidsync_dagster.outgoing_text import escaped

if TYPE_CHECKING:
    import pyarrow as pa

State = Literal["stopped", "quarantined", "skipped", "applied"]
"""Runs stop at it; it was set aside; it was let pass by hand; it was applied later. Later ones outdo earlier
ones."""

_STATES: Sequence[State] = get_args(State)
_FOUND = 300
_SUFFIX = ".parquet"
_ROW = ["topic", "partition", "offset", "key", "found", "state", "since", "digest", "size"]


class TopicPartitionOffset(NamedTuple):
    """Where a record stands in Kafka."""

    topic: str
    partition: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> TopicPartitionOffset:
        """Read TOPIC/PARTITION/OFFSET.

        Raises:
            ConfigurationError: it is not that.
        """
        topic, _, rest = text.partition("/")
        partition, _, offset = rest.partition("/")
        if not (topic and partition.isdecimal() and offset.isdecimal() and (partition + offset).isascii()):
            raise ConfigurationError(
                "RECORD", f"{escaped(text, 100)!r} is no place", "Write it as TOPIC/PARTITION/OFFSET."
            )
        return cls(topic, int(partition), int(offset))

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


@dataclass(frozen=True, slots=True)
class KeptRow:
    """A record of the quarantine without its content.

    `key_ns` is its place in the log (ns since 1970), `since` when it was kept, `digest` that of its key and
    value, `size` their length in bytes.
    """

    place: TopicPartitionOffset
    key_ns: int
    found: str
    state: State
    since: datetime
    digest: str
    size: int

    @property
    def origin(self) -> Origin:
        return Origin(self.key_ns, *self.place)


class Quarantine:
    """The records that one destination has set aside.

    Args:
        uri: a folder or URI, as for an archive; each repo and destination has a folder below it.
        root: the repo's root UUID.
        destination: its name.

    Every method raises `LogError` if the store cannot be read or written.

    Raises:
        ConfigurationError: no such kind of store.
    """

    def __init__(self, uri: str, root: str, destination: str) -> None:
        self._folder = Folder(uri, "quarantine", root, destination)
        self._destination = destination
        self._read: dict[str, list[KeptRow]] = {}

    @property
    def path(self) -> str:
        return self._folder.path

    def rows(self) -> list[KeptRow]:
        """What is kept, in log order, without content."""
        names = self._names()
        self._read = {name: self._read.get(name) or self._rows(name) for name in names}
        latest: dict[tuple[TopicPartitionOffset, str], KeptRow] = {}
        for row in (row for name in names for row in self._read[name]):
            other = latest.get((row.place, row.digest))
            if other is None or _STATES.index(row.state) > _STATES.index(other.state):
                latest[row.place, row.digest] = row
        return sorted(latest.values(), key=lambda row: (row.origin, row.digest))

    def chosen(self, places: Collection[TopicPartitionOffset]) -> list[KeptRow]:
        """The rows of these records.

        Raises:
            ConfigurationError: one is not kept.
        """
        found = [row for row in self.rows() if row.place in places]
        missing = set(places) - {row.place for row in found}
        if missing:
            raise ConfigurationError(
                "RECORD",
                f"{min(missing)} is not in {self.path}",
                "`dvidsync quarantine list` shows what is kept.",
            )
        return found

    def states(self, records: Iterable[Record]) -> list[State | None]:
        """What became of these very records, content included; None of those that are not kept."""
        known = {(row.place, row.digest): row.state for row in self.rows()}
        return [known.get((place_of(record), digest(record))) for record in records]

    def keep(self, records: Sequence[tuple[Record, str]], state: State) -> None:
        """Keep records, each with what is wrong with it; those that are kept already only change their state,
        and only forward."""
        import pyarrow as pa

        states = self.states(record for record, _ in records)
        new = [kept for kept, known in zip(records, states, strict=True) if known is None]
        if new:
            since = time.time_ns() // 1000
            table = [_cells(record, found, state, since, self._destination) for record, found in new]
            self._write(pa.Table.from_pylist(table, schema=_schema()))
        behind = {
            place_of(record)
            for (record, _), known in zip(records, states, strict=True)
            if known is not None and _STATES.index(known) < _STATES.index(state)
        }
        if behind:
            self.mark(behind, state)

    def mark(self, places: Collection[TopicPartitionOffset], state: State) -> None:
        """Change the state of records."""

        def marked(table: pa.Table, chosen: list[bool]) -> pa.Table:
            states = [
                state if yes else old for yes, old in zip(chosen, table["state"].to_pylist(), strict=True)
            ]
            schema = _schema()
            return table.set_column(schema.get_field_index("state"), schema.field("state"), [states])

        self._change(places, marked)

    def drop(self, places: Collection[TopicPartitionOffset]) -> None:
        """Forget records."""
        import pyarrow as pa

        self._change(places, lambda table, chosen: table.filter(pa.array([not yes for yes in chosen])))

    def read(self, places: Collection[TopicPartitionOffset]) -> list[Record]:
        """Records whole, in log order."""
        wanted = {(row.place, row.digest): row for row in self.rows() if row.place in places}
        found: dict[tuple[Origin, str], Record] = {}
        for name in self._names():
            if any(row.place in places for row in self._read[name]):
                for cells in self._table(name).to_pylist():
                    record = _record(cells)
                    if (place_of(record), cells["digest"]) in wanted:
                        found[record.origin, cells["digest"]] = record
        return [found[name] for name in sorted(found)]

    def _change(
        self, places: Collection[TopicPartitionOffset], change: Callable[[pa.Table, list[bool]], pa.Table]
    ) -> None:
        self.rows()
        for name in self._names():
            if not any(row.place in places for row in self._read.get(name) or self._rows(name)):
                continue
            table = self._table(name)
            columns = zip(*(table[each].to_pylist() for each in TopicPartitionOffset._fields), strict=True)
            changed = change(table, [TopicPartitionOffset(*each) in places for each in columns])
            written = self._write(changed) if changed.num_rows else None
            if written != name:
                self._folder.remove(name)

    def _names(self) -> list[str]:
        return [name for name in self._folder.names() if name.endswith(_SUFFIX) and name[0] != "."]

    def _rows(self, name: str) -> list[KeptRow]:
        rows = []
        for cells in self._table(name, _ROW).to_pylist():
            place = TopicPartitionOffset(cells.pop("topic"), cells.pop("partition"), cells.pop("offset"))
            rows.append(KeptRow(place, cells.pop("key"), **cells))
        return rows

    def _table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        return self._folder.read_table(name, _schema(), columns)

    def _write(self, table: pa.Table) -> str:
        """Write a file whose name tells what it holds."""
        named = hashlib.sha256()
        for row in zip(
            *(table[each].to_pylist() for each in ("digest", "state", *TopicPartitionOffset._fields)),
            strict=True,
        ):
            named.update(repr(row).encode())
        name = f"{min(table['key'].to_pylist()):019d}-{named.hexdigest()[:16]}{_SUFFIX}"
        if not self._folder.has(name):
            self._folder.write_table(name, table)
        return name


def quarantine_of(config: SyncConfig, destination: str) -> Quarantine:
    """The quarantine of a destination: where the configuration says, or below DAGSTER_HOME.

    Raises:
        ConfigurationError: no such kind of store.
    """
    return Quarantine(quarantine_uri(config), config.repo, destination)


def quarantine_uri(config: SyncConfig) -> str:
    """The folder or URI with the quarantines of all repos."""
    home = os.environ.get("DAGSTER_HOME") or "~/.dvidsync"
    return config.quarantine or f"{home}/quarantine"


def digest(record: Record) -> str:
    """Of a record's key and value, so that another record at the same place is not taken for it."""
    found = hashlib.sha256()
    for part in (record.key, record.value):
        found.update(b"-" if part is None else b"%d " % len(part) + part)
    return found.hexdigest()[:32]


def place_of(record: Record) -> TopicPartitionOffset:
    return TopicPartitionOffset(record.topic, record.partition, record.offset)


@cache
def _schema() -> pa.Schema:
    import pyarrow as pa  # takes time to load, and most runs quarantine nothing

    return pa.schema(
        {
            "topic": pa.string(),
            "partition": pa.int32(),
            "offset": pa.int64(),
            "key": pa.int64(),
            "raw_key": pa.large_binary(),
            "value": pa.large_binary(),
            "headers": pa.list_(pa.struct({"name": pa.string(), "value": pa.large_binary()})),
            "timestamp": pa.int64(),
            "found": pa.string(),
            "state": pa.string(),
            "since": pa.timestamp("us", "UTC"),
            "destination": pa.string(),
            "digest": pa.string(),
            "size": pa.int64(),
        }
    )


def _cells(record: Record, found: str, state: State, since: int, destination: str) -> dict[str, Any]:
    return {
        **place_of(record)._asdict(),
        "key": record.key_ns,
        "raw_key": record.key,
        "value": record.value,
        "headers": [{"name": str(name), "value": value} for name, value in record.headers],
        "timestamp": record.timestamp,
        "found": escaped(found, _FOUND),
        "state": state,
        "since": datetime.fromtimestamp(since / 1e6, UTC),
        "destination": destination,
        "digest": digest(record),
        "size": len(record.key or b"") + len(record.value or b""),
    }


def _record(cells: dict[str, Any]) -> Record:
    return Record(
        cells["key"],
        cells["topic"],
        cells["partition"],
        cells["offset"],
        cells["value"],
        cells["found"],
        cells["raw_key"],
        cells["timestamp"],
        tuple((header["name"], header["value"]) for header in cells["headers"]),
    )
