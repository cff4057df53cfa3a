"""One row of a conflict table: what it holds, how it is stored, what is shown of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from dvidsync_dagster.destinations.protocol import ConflictRow
from dvidsync_dagster.events.origin import key_text
from dvidsync_dagster.outgoing_text import escaped

if TYPE_CHECKING:
    import pyarrow as pa

State = Literal["open", "closed"]
ClosedBy = Literal["applied", "repaired"]
"""By a run that could apply the event after all, or by a repair."""


@cache
def schema() -> pa.Schema:
    """As rows are stored."""
    import pyarrow as pa  # takes time to load, and most runs list nothing

    time = pa.timestamp("us", "UTC")
    return pa.schema(
        {
            "name": pa.string(),
            "key": pa.int64(),
            "where": pa.string(),
            "action": pa.string(),
            "instance": pa.string(),
            "version": pa.string(),
            "mutation_id": pa.uint64(),
            "items": pa.list_(pa.string()),
            "user": pa.string(),
            "found": pa.string(),
            "cause": pa.string(),
            "stops": pa.bool_(),
            "listed": time,
            "closed": time,
            "closed_by": pa.string(),
        }
    )


@dataclass(frozen=True, slots=True)
class ListedConflict:
    """A row of the table.

    Args:
        stops: runs stop at it; else it was left out.
        listed: when it was listed first, or again after it had been closed.
        closed, closed_by: None while it is open.
    """

    row: ConflictRow
    stops: bool
    listed: datetime
    closed: datetime | None = None
    closed_by: ClosedBy | None = None

    @classmethod
    def of(cls, cells: dict[str, Any]) -> ListedConflict:
        """A row as it is stored."""
        row = ConflictRow(
            name=cells["name"],
            key_ns=cells["key"],
            where=cells["where"],
            action=cells["action"],
            instance=cells["instance"],
            version=cells["version"],
            mutation_id=cells["mutation_id"],
            items=tuple(cells["items"]),
            user=cells["user"],
            found=cells["found"],
            cause=cells["cause"],
        )
        return cls(row, cells["stops"], cells["listed"], cells["closed"], cells["closed_by"])

    @property
    def state(self) -> State:
        return "open" if self.closed is None else "closed"

    def cells(self) -> dict[str, Any]:
        """The row as it is stored."""
        row = self.row
        return {
            "name": row.name,
            "key": row.key_ns,
            "where": row.where,
            "action": row.action,
            "instance": row.instance,
            "version": row.version,
            "mutation_id": row.mutation_id,
            "items": list(row.items),
            "user": row.user,
            "found": row.found,
            "cause": row.cause,
            "stops": self.stops,
            "listed": self.listed,
            "closed": self.closed,
            "closed_by": self.closed_by,
        }

    def as_json(self) -> dict[str, Any]:
        """What is shown of it, by column."""
        return {
            "state": self.state,
            "operation": self.row.action,
            "mutation_id": self.row.mutation_id,
            "instance": escaped(self.row.instance, 200),
            "version": escaped(self.row.version, 200),
            "items": list(self.row.items),
            "user": self.row.user,
            "time": key_text(self.row.key_ns),
            "why": self.row.found,
            "depends_on": self.row.cause,
            "stops_runs": self.stops,
            "listed": self.listed.isoformat(timespec="seconds"),
            "closed": self.closed.isoformat(timespec="seconds") if self.closed is not None else None,
            "closed_by": self.closed_by,
            "record": self.row.where,
        }


COLUMNS = (
    "state",
    "operation",
    "mutation_id",
    "instance",
    "version",
    "items",
    "user",
    "time",
    "why",
    "depends_on",
    "stops_runs",
    "listed",
    "closed",
    "closed_by",
    "record",
)
"""Those of `ListedConflict.as_json`."""
