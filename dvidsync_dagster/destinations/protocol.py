"""What a run asks of a destination, whatever kind of thing follows the source.

The boundary is an ordered batch of events. How a destination brings itself there is its own affair: a DVID
server plans commands and sends requests, another kind may compute rows and commit them with the checkpoint.
A kind fills `Destination` for runs that follow, `Comparable` for comparisons and `Repairable` for repairs;
`destinations.kinds` opens them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol

from dvidsync_dagster.datatypes.registry import ALL
from dvidsync_dagster.datatypes.server_side import Commands
from dvidsync_dagster.dvid.refusal import in_words
from dvidsync_dagster.dvid.repo import RepoInfo
from dvidsync_dagster.errors import Conflict
from dvidsync_dagster.events.batch import Batch
from dvidsync_dagster.events.event import Event, NumberedEvent
from dvidsync_dagster.log.checkpoint import Checkpoint, LogStart
from dvidsync_dagster.outgoing_text import escaped

if TYPE_CHECKING:
    from dvidsync_dagster.differences.sides import Side
    from dvidsync_dagster.snapshot.table import TableReport


@dataclass(frozen=True, slots=True)
class ConflictRow:
    """An event that was left out because the destination could not take it.

    Args:
        name: the same for each row about this event.
        key_ns: when it happened, by the source's clock.
        where: the place of the record that told of it.
        items: what it touches, as its data type names it: bodies, keys.
        user: who did it; "" where the log does not tell.
        found: why it was left out.
        cause: the place of the record on which it depends and that was left out before it; "" if there is
            none.
    """

    name: str
    key_ns: int
    where: str
    action: str
    instance: str
    version: str
    mutation_id: int | None
    items: tuple[str, ...]
    user: str
    found: str
    cause: str = ""

    @classmethod
    def of(cls, event: Event, found: str, cause: str = "") -> ConflictRow:
        numbered = event if isinstance(event, NumberedEvent) else None
        return cls(
            name=name_of(event),
            key_ns=event.origin.key_ns,
            where=str(event.origin),
            action=event.action,
            instance=event.instance,
            version=event.version,
            mutation_id=numbered.mutation_id if numbered is not None else None,
            items=items_of(event),
            user=escaped(numbered.user, 200) if numbered is not None else "",
            found=escaped(in_words(found), 1500),
            cause=cause,
        )


def name_of(event: Event) -> str:
    """What names an event in every run, also where another copy of its record was read."""
    identity = event.identity
    return "/".join(map(str, identity)) if isinstance(identity, tuple) else str(identity)


def items_of(event: Event) -> tuple[str, ...]:
    """What an event touches, for people."""
    return tuple(escaped(str(item), 200) for item in ALL[event.typename].items(event))


class StoppedAt(Conflict):
    """A run ends at events that the destination cannot take.

    Args:
        rows: these events.
        text: the message.
        own_from: from which mutation id on changes there are its own; 0 if that was not seen.
    """

    def __init__(self, rows: Sequence[ConflictRow], text: str, own_from: int = 0) -> None:
        super().__init__(text)
        self.rows = rows
        self.own_from = own_from


@dataclass(frozen=True, slots=True)
class Brought:
    """What became of a batch.

    Args:
        applied: the events that are applied now, what was present before included.
        held: those that must wait for the next chunk or run.
        present: how many of the applied ones were present before.
        conflicts: those that were left out, which count as applied.
        replaced: how many values that may have been people's were kept, and replaced.
        tables: what became of the tables that a destination keeps.
        postponed: identities of events that were refused, and may only be early: they are among the held.
        seconds: the time that it took, by stage.
    """

    applied: list[Event] = field(default_factory=list)
    held: list[Event] = field(default_factory=list)
    present: int = 0
    conflicts: tuple[ConflictRow, ...] = ()
    replaced: int = 0
    tables: Sequence[TableReport] = ()
    postponed: Collection[Hashable] = frozenset()
    seconds: Mapping[str, float] = field(default_factory=dict)


class Standing(Enum):
    """Where a pass over the log stands after a chunk."""

    UNDER_WAY = auto()
    AT_CUT = auto()
    """The pass ends here, and something waits for the next run."""
    CAUGHT_UP = auto()
    """The pass ends here, and all that the source had announced at its start is applied."""


class Destination(AbstractContextManager["Destination"], Protocol):
    """One destination, open for one run. What it raises means that nothing is in flight anymore.

    Every method may raise ServerError (or what the kind's storage raises in its place) and OwnershipLost.
    """

    def meet(self, checkpoint: Checkpoint | None) -> Checkpoint | LogStart | None:
        """A run begins to follow. Whoever keeps data and checkpoint together takes back what an earlier run
        left half done, and makes its first content if it has none.

        Args:
            checkpoint: how far it is, as the caller knows it; None if it knows nothing.

        Returns:
            How far it is: what the caller knows, or what the destination keeps with its data; a start if it
            holds the state of one moment, and has followed nothing since. None if nothing is known.
        """
        ...

    def begin_pass(self, checkpoint: Checkpoint | None, *, again: bool) -> None:
        """A pass over the log begins.

        Args:
            checkpoint: where it begins; None if there is none yet.
            again: the pass reads a part of the log once more, before the checkpoint.
        """
        ...

    def contents(self) -> RepoInfo:
        """Its versions and instances."""
        ...

    def bring(self, batch: Batch) -> Brought:
        """Apply a batch; each event once, however often it comes.

        Raises:
            StoppedAt: an event cannot be applied, and such events are not left out here.
        """
        ...

    def keep(self, checkpoint: Checkpoint, standing: Standing) -> Checkpoint:
        """A chunk ends: all that was brought belongs to this checkpoint. Whoever commits data and checkpoint
        together does it here.

        Returns:
            The checkpoint with what the destination wants to be told again by `begin_pass`.
        """
        ...

    def agreeing(self, rows: Sequence[ConflictRow]) -> Collection[str]:
        """The names of rows of the conflict table whose items are now as at the source, as far as that shows
        by a look at each."""
        ...

    @property
    def requests(self) -> int:
        """How many requests have changed it, or tried to, since it was opened."""
        ...


class Comparable(Protocol):
    """A destination as one side of a comparison. Every method may raise ServerError."""

    def contents(self, source: RepoInfo) -> RepoInfo:
        """Its versions and instances, beside those that the source has now."""
        ...

    def compared(self, source: RepoInfo) -> frozenset[str] | None:
        """The versions of the source that it holds or is to hold; None if that is all that are followed.
        Asked after `contents`."""
        ...

    def holds(self, version: str, instance: str) -> bool:
        """Whether it has one of its instances, by its name there, in a version that it has."""
        ...

    def side(self, version: str, instance: str) -> Side:
        """One of its instances, by its name there, in one version."""
        ...


class Repairable(Comparable, Protocol):
    """A destination that takes a repair: the commands that bring it to the source's state."""

    @property
    def changes_committed(self) -> bool:
        """Whether committed versions can be changed."""
        ...

    def commands(
        self, followed: Callable[[str], bool], names: Mapping[str, str]
    ) -> AbstractContextManager[Commands]:
        """What carries out commands that repeat no event.

        Args:
            followed: whether an instance (by the source's name) is one of those that are repaired.
            names: of instances with another name here, by the source's.
        """
        ...
