"""A data type's half of a snapshot in a bucket: what its tables hold, and how they follow."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.snapshot.table import Change, Table, TableRows

if TYPE_CHECKING:
    from dvidsync_dagster.differences.digest import Numbers, Page
    from dvidsync_dagster.differences.items import Found
    from dvidsync_dagster.differences.sides import Kind

Sift = Callable[["Found"], "Found"]
"""Keeps of items those that no record to come touches."""


class SnapshotSide(ABC):
    """The tables of one instance in one branch.

    Args:
        source: its client; it is only read.
        instance: as the source describes it, with the instances that it is synced to.
    """

    begins_empty: ClassVar[bool] = False
    """Whether the log tells all that came into an instance since it was made. Else a new one is read whole,
    in the first version that is committed."""

    def __init__(self, source: Transport, instance: Instance) -> None:
        self.source = source
        self.instance = instance

    @property
    @abstractmethod
    def tables(self) -> Sequence[Table]:
        """The tables, each with another path, which begins with the instance's name."""

    @abstractmethod
    def whole(self, version: str) -> Iterator[tuple[Table, Iterator[pa.RecordBatch]]]:
        """All that the source has in a committed version, table by table, in batches of bounded size.

        Raises:
            Unfit: a table cannot hold it.
            ServerError.
        """

    @abstractmethod
    def changes(self, events: Sequence[Event], version: str, rows: TableRows) -> Mapping[str, Change]:
        """What events did to the tables, by path.

        Args:
            events: of the whole repo, in an order in which they can be applied. Those of other instances
                count where they move something here.
            version: the newest of the events' versions. What messages do not hold is read there, and can be
                newer if that version is open.
            rows: what the tables hold before.

        Raises:
            Unfit: a table cannot hold it.
            ServerError.
        """

    def concerns(self, event: Event) -> bool:
        """Whether an event of the instance can change the tables at all."""
        return True

    # In a repair

    def renewed(
        self, found: Sequence[Found], version: str, rows: TableRows, sift: Sift, at_ns: int
    ) -> Mapping[str, Change] | None:
        """What makes the tables hold what the source has, by path.

        Args:
            found: the items that differ, by kind.
            version: that of the rows; it is read at the source.
            sift: is asked about other items that must change with them.
            at_ns: the moment of the log (ns since 1970) at which the tables are.

        Returns:
            None if records to come touch what must change with them.

        Raises:
            Unfit: a table cannot hold it.
            ServerError.
        """
        raise ValueError(f"nothing of {self.instance.name} is repaired in a snapshot")

    # As one side of a comparison

    def pages(self, kind: Kind, rows: TableRows) -> Iterator[Page]:
        """All items of a kind, as a comparison lists those of a server.

        Raises:
            ValueError: the tables hold none of that kind.
        """
        raise ValueError(f"a snapshot holds no {kind.name}")

    def values(self, kind: Kind, keys: Sequence[Any], rows: TableRows) -> Numbers:
        """The values of these keys, 0 for what is not there. Raises as `pages`."""
        raise ValueError(f"a snapshot holds no {kind.name}")

    def records(self, kind: Kind, rows: TableRows) -> Iterator[tuple[Any, Any]]:
        """All items by key, with all that they hold. Raises as `pages`."""
        raise ValueError(f"a snapshot holds no {kind.name}")
