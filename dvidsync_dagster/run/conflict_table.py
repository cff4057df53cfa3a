"""The conflict table of a destination: all that its runs left out, or stopped at, over all runs.

It is kept beside the destination's quarantine, as a Parquet file for each day of the log, which is replaced
as a whole. An event is in the file of its record's day, and there once: a run that was killed and is repeated
finds the row that it had listed. A row is open until a run has applied the event after all, or a repair has
brought what it touches to the source's state.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.destinations.protocol import ConflictRow, items_of, name_of
from dvidsync_dagster.events.event import Event, NumberedEvent
from dvidsync_dagster.log.folder import Folder
from dvidsync_dagster.log.quarantine import quarantine_uri
from dvidsync_dagster.run.listed_conflict import ClosedBy, ListedConflict, State, schema

if TYPE_CHECKING:
    import pyarrow as pa

_DAY_NS = 86_400 * 1_000_000_000
_SUFFIX = ".parquet"
_OWN_FROM = ".own"
"""After the number, in the name of a file without content."""
_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows there are."""

    open: int = 0
    closed: int = 0

    def __str__(self) -> str:
        return f"{self.open:,} open, {self.closed:,} closed"


class ConflictTable:
    """The conflict table of one destination. Only whoever owns the destination may change it.

    Args:
        uri: the quarantine's folder or URI.
        root: the repo's root UUID.
        destination: its name.

    Every method raises `LogError` if the store cannot be read or written.

    Raises:
        ConfigurationError: no such kind of store.
    """

    def __init__(self, uri: str, root: str, destination: str) -> None:
        self._place = (uri, "quarantine", root, destination)
        self._folder = Folder(*self._place, "conflicts")
        self._files: set[str] | None = None
        self._open: dict[str, frozenset[str]] = {}

    @property
    def path(self) -> str:
        return self._folder.path

    # Reading

    def rows(self, *states: State) -> Iterator[ListedConflict]:
        """The rows in log order; without states all."""
        for file in self._names():
            # Each run asks for the open ones, and most files soon have none.
            if states != ("open",) or self._counts(file).open:
                yield from (row for row in self._read(file) if not states or row.state in states)

    def first(self, count: int) -> list[ListedConflict]:
        """Some of the rows: the open ones first, each in log order."""
        found = list(islice(self.rows("open"), count))
        return [*found, *islice(self.rows("closed"), count - len(found))]

    def counts(self) -> Counts:
        each = [self._counts(file) for file in self._names()]
        return Counts(sum(counts.open for counts in each), sum(counts.closed for counts in each))

    def stopped_at(self) -> ListedConflict | None:
        """The row at which runs stop, if there is one."""
        return next((row for row in self.rows("open") if row.stops), None)

    def own_from(self) -> int:
        """From which mutation id on changes at the destination are its own, as a run knew it that stopped;
        0 if none did."""
        names = (name.removesuffix(_OWN_FROM) for name in self._numbers().names())
        return min((int(name) for name in names if name.isascii() and name.isdigit()), default=0)

    # Changing

    def stop(self, rows: Sequence[ConflictRow], own_from: int) -> None:
        """List what a run stops at. It keeps no checkpoint of its chunk, so what it saw of `own_from` is kept
        here; 0 if it saw nothing."""
        self.keep(rows, stops=True)
        if own_from:
            numbers, name = self._numbers(), f"{own_from:020d}{_OWN_FROM}"
            before = numbers.names()
            if name not in before:
                numbers.write(name, b"")
            for each in before:
                if each != name:
                    numbers.remove(each)

    def keep(self, rows: Sequence[ConflictRow], *, stops: bool = False) -> None:
        """List what was left out, or what a run stops at. What is listed already stays the row that it is,
        and is open again if it was closed."""
        if not rows:
            return
        import pyarrow as pa
        import pyarrow.compute as pc

        listed = _now()
        for day, own in _by_day(rows).items():
            file = _file(day)
            fresh = {row.name: ListedConflict(row, stops, listed) for row in own}
            before = self._table(file) if file in self._known() else schema().empty_table()
            is_known = _is_among(before, fresh)
            known = list(map(ListedConflict.of, before.filter(is_known).to_pylist()))
            changed = [_again(row, fresh.pop(row.row.name)) for row in known]
            if fresh or changed != known:
                cells = [each.cells() for each in (*changed, *fresh.values())]
                others = before.filter(pc.invert(is_known))
                self._write(file, pa.concat_tables([others, pa.Table.from_pylist(cells, schema=schema())]))

    def applied(self, events: Sequence[Event], *, but: Collection[ConflictRow] = ()) -> int:
        """Close the rows of events that are applied now; says how many.

        Args:
            but: what was left out of them. Where only the last event on an item is tried, it stands for the
                others.
        """
        names = {row.name for row in but}
        places = {(row.instance, row.version, item) for row in but for item in row.items}
        applied: dict[str, set[str]] = {}
        for name, event in self._open_among(events):
            own = () if isinstance(event, NumberedEvent) else items_of(event)
            if name not in names and places.isdisjoint((event.instance, event.version, item) for item in own):
                applied.setdefault(_file(event.origin.key_ns // _DAY_NS), set()).add(name)
        return sum(self._close(file, "applied", names) for file, names in applied.items())

    def left_out(self, events: Sequence[Event]) -> frozenset[Hashable]:
        """The identities of those of the events whose rows are open."""
        return frozenset(event.identity for _, event in self._open_among(events))

    def _open_among(self, events: Sequence[Event]) -> Iterator[tuple[str, Event]]:
        """Those of the events whose rows are open, with their names."""
        files = self._known()
        days = {event.origin.key_ns // _DAY_NS for event in events} if files else set()
        is_open = {day: self._open_in(_file(day)) for day in days if _file(day) in files}
        for event in events if any(is_open.values()) else ():
            name = name_of(event)
            if name in is_open.get(event.origin.key_ns // _DAY_NS, ()):
                yield name, event

    def agreeing(self, names: Collection[str]) -> int:
        """Close the open rows of these events, whose items are as at the source now; says how many."""
        return sum(self._close(file, "applied", names) for file in self._names()) if names else 0

    def repaired(self, is_resolved: Callable[[ConflictRow], bool]) -> int:
        """Close the open rows that a repair has resolved; says how many."""
        count = 0
        for file in self._names():
            rows = (each for each in self._read(file) if each.state == "open")
            count += self._close(file, "repaired", {each.row.name for each in rows if is_resolved(each.row)})
        return count

    def _close(self, file: str, by: ClosedBy, names: Collection[str]) -> int:
        """Close those rows of a file that are open; says how many."""
        import pyarrow as pa
        import pyarrow.compute as pc

        table = self._table(file)
        chosen = pc.and_(_is_among(table, names), pc.is_null(table["closed"]))
        count: int = pc.sum(chosen).as_py() or 0
        if count:
            for name, value in (("closed", _now()), ("closed_by", by)):
                field = schema().field(name)
                cells = pc.if_else(chosen, pa.scalar(value, field.type), table[name])
                table = table.set_column(schema().get_field_index(name), field, cells)
            self._write(file, table)
        return count

    # Files

    def _names(self) -> list[str]:
        return [name for name in self._folder.names() if name.endswith(_SUFFIX) and name[0] != "."]

    def _known(self) -> set[str]:
        """The files. Nobody else makes some meanwhile."""
        if self._files is None:
            self._files = set(self._names())
        return self._files

    def _counts(self, file: str) -> Counts:
        table = self._table(file, "closed")
        still_open: int = table["closed"].null_count
        return Counts(still_open, table.num_rows - still_open)

    def _numbers(self) -> Folder:
        return Folder(*self._place, "own")

    def _open_in(self, file: str) -> frozenset[str]:
        """The events whose rows are open in a file. Nobody else changes it meanwhile."""
        if file not in self._open:
            import pyarrow.compute as pc

            table = self._table(file, "name", "closed")
            self._open[file] = frozenset(table.filter(pc.is_null(table["closed"]))["name"].to_pylist())
        return self._open[file]

    def _read(self, file: str) -> Iterator[ListedConflict]:
        for batch in self._table(file).to_batches(max_chunksize=_AT_ONCE):
            yield from map(ListedConflict.of, batch.to_pylist())

    def _table(self, file: str, *columns: str) -> pa.Table:
        return self._folder.read_table(file, schema(), columns or None)

    def _write(self, file: str, rows: pa.Table) -> None:
        self._folder.write_table(file, rows.sort_by([("key", "ascending"), ("where", "ascending")]))
        self._known().add(file)
        self._open.pop(file, None)


def conflict_table_of(config: SyncConfig, destination: str) -> ConflictTable:
    """That of a destination: beside its quarantine.

    Raises:
        ConfigurationError: no such kind of store.
    """
    return ConflictTable(quarantine_uri(config), config.repo, destination)


def _again(known: ListedConflict, now: ListedConflict | None) -> ListedConflict:
    """A row once the same is listed again."""
    if now is None:
        return known
    return replace(now, listed=known.listed) if known.state == "open" else now


def _is_among(table: pa.Table, names: Collection[str]) -> pa.ChunkedArray:
    """By row, whether it is one of these events'."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.is_in(table["name"], value_set=pa.array(list(names), pa.string()))


def _by_day(rows: Collection[ConflictRow]) -> dict[int, list[ConflictRow]]:
    days: dict[int, list[ConflictRow]] = {}
    for row in rows:
        days.setdefault(row.key_ns // _DAY_NS, []).append(row)
    return days


def _file(day: int) -> str:
    return f"{date(1970, 1, 1) + timedelta(days=day)}{_SUFFIX}"


def _now() -> datetime:
    return datetime.fromtimestamp(time.time_ns() // 1000 / 1e6, UTC)
