"""The table that tells which versions of a branch's tables belong together, for each moment of a commit.

Time travel by the tables' own logs would not be exact: a run that was stopped leaves commits in some tables
that belong to no snapshot, and a table that did not change has no commit at all. A row here is written with
the commit that it tells of, and is undone with it: `snapshot.json` names the version of this table as that of
any other. So each row that a reader sees was the whole snapshot once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from dvidsync_dagster.snapshot.table import Change, Column, Table

POINTS = Table(
    "dvidsync/points",
    "One moment of the log at which all tables of this branch were one snapshot.",
    (
        Column("log_time", pa.timestamp("us", "UTC"), "The moment, by the source's clock."),
        Column("log_time_ns", pa.int64(), "The same, in nanoseconds since 1970."),
        Column("uuid", pa.string(), "The branch's newest version then."),
        Column("tables", pa.map_(pa.string(), pa.int64()), "Delta's version of each table, by its path."),
    ),
)
"""A destination appends a row in each commit that changes a table: after the other tables, before
`snapshot.json`."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Point:
    """A moment of the log (ns since 1970), the branch's newest version then, and Delta's versions by path."""

    log_time_ns: int
    uuid: str
    tables: Mapping[str, int]


def appended(point: Point) -> Change:
    """What a commit appends to the table."""
    row = {
        "log_time": moment(point.log_time_ns),
        "log_time_ns": point.log_time_ns,
        "uuid": point.uuid,
        "tables": [(path, version) for path, version in point.tables.items() if path != POINTS.path],
    }
    return Change(pa.Table.from_pylist([row], POINTS.schema))


def in_order(rows: pa.Table) -> list[Point]:
    """The points that the table holds, oldest first; of one moment that with the newest versions."""
    found: dict[int, Point] = {}
    for row in rows.sort_by("log_time_ns").to_pylist():
        point = Point(row["log_time_ns"], row["uuid"], dict(row["tables"]))
        before = found.get(point.log_time_ns)
        if before is None or not _is_older(point, before):
            found[point.log_time_ns] = point
    return list(found.values())


def up_to(points: Sequence[Point], log_time_ns: int) -> Sequence[Point]:
    """Those of points in order that are of this moment or before."""
    return points[: bisect_right(points, log_time_ns, key=lambda point: point.log_time_ns)]


def moment(log_time_ns: int) -> datetime:
    """As a time; what is below a microsecond is cut off."""
    return _EPOCH + timedelta(microseconds=log_time_ns // 1000)


def nanoseconds(time: datetime) -> int:
    """Since 1970, of a time with a time zone."""
    return (time - _EPOCH) // timedelta(microseconds=1) * 1000


def _is_older(one: Point, other: Point) -> bool:
    """Versions only grow; what is newer has all tables that there are then."""
    both = one.tables.keys() & other.tables.keys()
    ages = [sum(point.tables[path] for path in both) for point in (one, other)]
    return (ages[0], len(one.tables)) < (ages[1], len(other.tables))
