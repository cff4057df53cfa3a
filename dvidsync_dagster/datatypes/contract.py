"""What every data type brings along. A new one is a package with a `DataType`, and a line in the registry.

What is there by default fits a data type whose state is copied: its events are done when they are announced,
they need no completion and no ids, and the source is asked for nothing but what changed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Hashable, Mapping, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, ClassVar

from dvidsync_dagster.datatypes.commands import Command
from dvidsync_dagster.datatypes.server_side import CarryOut, Servers, ServerSide
from dvidsync_dagster.datatypes.source_side import Gathered, SourceSide, Stretch
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.events.event import Announcement, Consequence, Event
from dvidsync_dagster.events.message import Message
from dvidsync_dagster.plan.claims import Claim, Key

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from dvidsync_dagster.datatypes.snapshot_side import SnapshotSide
    from dvidsync_dagster.differences.findings import Difference
    from dvidsync_dagster.differences.items import Found, Pair, ServerPair
    from dvidsync_dagster.differences.touched import Touched
    from dvidsync_dagster.differences.work import Work


Rows = dict[Key, Any]
"""What a repo holds, as far as the log tells: by kind, instance, version and what it is of."""


class DataComparison(ABC):
    """How instances of one data type are compared."""

    @abstractmethod
    def items(self, pair: Pair, *, lower_scales: bool) -> tuple[list[Found], int]:
        """What differs in one version, and how many items the source has.

        Args:
            lower_scales: compare lower resolutions too, where there are any.

        Raises ServerError.
        """

    def in_version(self, pair: Pair) -> list[Difference]:
        """Rows for what differs in one version besides its items."""
        return []

    def of_instance(self, pair: Pair) -> list[Difference]:
        """Rows for what differs in what all versions of an instance share."""
        return []

    @abstractmethod
    def touch(self, event: Event, touched: Touched, source: Transport) -> None:
        """Note what an event touches, whether it is done or has only begun."""

    def concerns(self, items: Collection[str], found: Found) -> bool:
        """Whether items that differ may be among those that an event touched, or come of them.

        Args:
            items: those of the event, as text (`DataType.items`).
        """
        return True

    def tied(
        self,
        found: Found,
        pair: Pair,
        touched: Touched,
        versions: Collection[str],
    ) -> npt.NDArray[np.bool_]:
        """Which items differ because others that they are tied to are touched.

        Args:
            versions: that of the items and its ancestors.
        """
        import numpy as np  # only a comparison needs it

        return np.zeros(len(found), bool)


class DataRepair(ABC):
    """How instances of one data type are brought to the source's state, at a DVID server."""

    @abstractmethod
    def version(self, pair: ServerPair, work: Work, carry_out: CarryOut) -> None:
        """Bring one version to the source's state. Raises ServerError, OwnershipLost.

        Args:
            carry_out: in a dry run it changes nothing, and need not be called; but `instance` is told of the
                commands.
        """

    def left(self, pair: ServerPair, work: Work, carry_out: CarryOut) -> None:
        """Mend of one version what the comparison at the end shows, and `version` has not looked for, as that
        takes long. Raises ServerError, OwnershipLost."""
        return

    def instance(
        self,
        pairs: Sequence[ServerPair],
        root: str,
        work: Work,
        carry_out: CarryOut,
        foreseen: Sequence[Command],
    ) -> None:
        """Bring what all versions share to the source's state, once each of them is.

        Args:
            pairs: of all versions that both have, parents before children.
            root: the repo.
            foreseen: in a dry run the commands that would be done before.
        """

    def own(self, found: Found, pair: ServerPair, work: Work, try_out: CarryOut) -> npt.NDArray[np.bool_]:
        """Which items that differ runs leave alone, as people at the destination changed them, or a body that
        they are in on either side. Raises ServerError.

        Args:
            try_out: see `Commands`.
        """
        import numpy as np  # only a repair needs it

        return np.zeros(len(found), bool)

    def why_left(self, items: str) -> str | None:
        """Why items of a kind (by its name) that differ at the end are not repaired; None if they are."""
        return None


class DataType(ABC):
    """One data type of DVID, or `repo`: what a repo announces of itself."""

    typename: ClassVar[str]
    """As DVID names it."""

    numbers_events: ClassVar[bool] = False
    """Whether each of its events has a mutation id, so that one that is missing shows."""

    sorts_anew_when_synced: ClassVar[bool] = False
    """Whether an instance must be told (`POST reload`) to sort what it has by a labelmap that it is newly
    synced to."""

    @property
    def comparison(self) -> DataComparison | None:
        """How instances are compared; None if they are not."""
        return None

    @property
    def repair(self) -> DataRepair | None:
        """How instances are repaired at a DVID server; None if they are not."""
        return None

    # The log

    @abstractmethod
    def decode(self, message: Message, instance: Instance | None) -> Announcement | Consequence | None:
        """What a message says; None if its action is not known.

        Raises:
            UndecodableRecord: a known action with a field that is missing or wrong.
        """

    def gather(self, stretch: Stretch) -> Gathered:
        """From announcements to what happened."""
        happened = {each.event.identity: each.event for each in reversed(stretch.announced)}
        return Gathered(done=sorted(happened.values(), key=lambda event: event.origin))

    def unselected(self, event: Event) -> Event | None:
        """What remains to be done of an event whose version is not selected."""
        return None

    def not_again(self, event: Event) -> bool:
        """Whether an event must not be repeated when a part of the log is read again."""
        return False

    # What it touches, and what it does

    @abstractmethod
    def claims(self, events: Sequence[Event]) -> list[Claim]:
        """What events touch, which are in log order: one claim for each."""

    def items(self, event: Event) -> Sequence[Hashable]:
        """What an event touches, as far as its message tells."""
        return ()

    @abstractmethod
    def apply(self, event: Event, rows: Rows) -> None:
        """What an event changes. Pure: the rows are all that it reads and writes."""

    # A snapshot

    def snapshot_side(
        self, source: Transport, instance: Instance, followed: Mapping[str, Instance]
    ) -> SnapshotSide | None:
        """Its half of a snapshot; None if snapshots hold nothing of it.

        Args:
            followed: all instances that the snapshot follows, by name.
        """
        return None

    # The servers

    def source_side(self, client: Transport, clock: int, started: int | None, pool: Executor) -> SourceSide:
        return SourceSide(client, clock, started, pool)

    def counter(self, source: Transport, instance: str, root: str) -> int | None:
        """The id that the source gives next in an instance; None if instances have no counter of ids."""
        return None

    @abstractmethod
    def server_side(self, servers: Servers) -> ServerSide:
        """Its half of a destination that is a DVID server."""
