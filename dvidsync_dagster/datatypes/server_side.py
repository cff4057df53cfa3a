"""What a data type does at a DVID server that follows: its half of planning and of carrying out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from dvidsync_dagster.datatypes.commands import Command, Step
from dvidsync_dagster.datatypes.others_at_work import OthersAtWork
from dvidsync_dagster.datatypes.own_values import OwnValues
from dvidsync_dagster.differences.sides import DvidSide
from dvidsync_dagster.dvid.repo import RepoInfo
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.log.checkpoint import Behind, Checkpoint
from dvidsync_dagster.plan.claims import Claim
from dvidsync_dagster.plan.order import Ordering
from dvidsync_dagster.plan.outcome import Outcome, Refusal

History = Literal["by_user", "condensed", "exact"]
"""Which merges are combined: those of one user, those of anybody, or none."""

Apply = Literal["replay", "state", "auto"]
"""How operations on bodies are brought: by a request for each, in bulk, or whichever costs less."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Events that are ordered as one: what a command can repeat at the least.

    Args:
        events: in log order; those of one instance and version.
        claim: what it touches.
        in_bulk: one command can repeat it with all others of the same key, whatever they touch.
        awaited: it has not happened yet at the source, and perhaps never will.
    """

    events: tuple[Event, ...]
    claim: Claim
    in_bulk: Hashable | None = None
    awaited: bool = False


@dataclass(frozen=True, slots=True)
class Presence:
    """What a destination has already, as indexes of units.

    Args:
        present: applied already.
        doubtful: not applied, and perhaps half done. Look closer before repeating them.
    """

    present: set[int] = field(default_factory=set)
    doubtful: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Servers:
    """The two servers of a run, and what was asked of the source at its start.

    Args:
        source, destination: open.
        root: the repo on both.
        repo: the source's, as discovered.
        counters: the source's counters of ids by instance, as they stood at the start of the run.
        followed: whether an instance (by name) is one of those that are followed.
        skips: what is refused is left out; else it ends the run.
        history: which merges may be combined.
        pool: threads for reads, which steps cannot occupy.
        note: says something once per run.
        names: of instances with another name at the destination, by the source's.
        shares_ids: people practise at the destination, and take ids from the same counters.
        apply: how operations on bodies are brought.
        own_values: which keys, neurons and elements people changed there.
        others: whether people may have changed bodies there.
        begun: bodies (instance, version, label) of a repair that did not end.
    """

    source: Transport
    destination: Transport
    root: str
    repo: RepoInfo
    counters: Mapping[str, int]
    followed: Callable[[str], bool]
    skips: bool
    history: History
    pool: Executor
    note: Callable[[str], None]
    names: Mapping[str, str] = field(default_factory=dict)
    shares_ids: bool = False
    apply: Apply = "replay"
    own_values: OwnValues = field(default_factory=lambda: OwnValues(lambda _: ()))
    others: OthersAtWork = field(default_factory=OthersAtWork)
    begun: frozenset[tuple[str, str, int]] = frozenset()

    def at_destination(self, instance: str) -> str:
        """What the source's instance is called at the destination."""
        return self.names.get(instance, instance)


@dataclass(frozen=True, slots=True)
class Told:
    """An event as people are told of it: what it does, and to which items."""

    action: str
    items: tuple[str, ...]


class ServerSide(ABC):
    """One data type at one destination, for the time of a run. It is asked by several threads.

    Copying the source's state does no harm when it is repeated: then `units`, `command` and `carry_out` are
    all that is needed.
    """

    knows_own_values: ClassVar[bool] = True
    """Whether it asks or tells `Servers.own_values`."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers

    # Planning

    @abstractmethod
    def units(self, events: Sequence[Event]) -> list[Unit]:
        """The events in units, with their claims.

        Args:
            events: of this data type, of any instance and version.
        """

    @abstractmethod
    def command(self, units: Sequence[Unit]) -> Step:
        """The step that repeats units that were joined, in their order. It waits for nothing yet."""

    def joins(self, unit: Unit, open_groups: Sequence[tuple[Unit, int]]) -> Sequence[int]:
        """Which groups of units, by position, one command can repeat together with this unit. Nothing else
        has touched in between what they touch.

        Args:
            open_groups: the last unit of each, and how many keys it touches.
        """
        return ()

    # What the destination has

    def meet(self, checkpoint: Checkpoint | None) -> None:
        """A pass over the log begins at this checkpoint."""
        return

    @property
    def remembered(self) -> int:
        """What of the destination is to be remembered as it was when it was first met, as a number for the
        checkpoint; 0 if nothing."""
        return 0

    def find_present(self, units: Sequence[Unit], ordering: Ordering, left_out: Collection[int]) -> Presence:
        """Which of the units, given by their indexes in the ordering, the destination has already. Units of
        other data types are among them.

        Args:
            left_out: those that an earlier run left out, and that are listed so.
        """
        return Presence()

    def is_past(self, events: Sequence[Event], checkpoint: Checkpoint) -> bool:
        """Whether the destination shows that it got further than the checkpoint says.

        Args:
            events: the first that come after the checkpoint.
        """
        return False

    announces_deletes: ClassVar[bool] = True
    """Or an item can be gone at the source without a word in the log."""

    def digests(self, side: DvidSide) -> Mapping[int, int] | None:
        """What an instance has in a version, as digests by item (see `OwnValues`). None where items are not
        told apart, or are too much to read."""
        return None

    def agreeing(self, version: str, instance: str, events: Sequence[Told]) -> Collection[int]:
        """Those of some events (by position) whose items are the same on both sides now. What would take
        more than a look at each item is none of them."""
        return ()

    def forget(self) -> None:
        """What was known of the destination may no longer be true."""

    # Carrying out

    def about_to_carry_out(self, steps: Sequence[Step]) -> None:
        """These steps of a plan come now, as far as nothing ends it."""

    @abstractmethod
    def carry_out(self, step: Step, *, doubtful: bool) -> Outcome:
        """Do a step.

        Args:
            doubtful: it may be half done.

        Raises what `Transport` raises if a server does not answer; a refusal is an outcome.
        """

    def needs_version(self, step: Step) -> bool:
        """Whether a step can only be done if the destination has its version."""
        return True

    def came_too_late(self, step: Step) -> str | None:
        """Why the step, which belongs before a commit that is applied, cannot be done anymore, if so."""
        return None

    def may_overtake(self, step: Step, refused: Step) -> bool:
        """Whether the source may have done a step before another one that was refused, and is before it."""
        return False

    def refused_beyond(
        self, steps: Sequence[Step], refused: Collection[Event], shown_by: Callable[[str], str]
    ) -> Iterator[tuple[Event, Refusal]]:
        """What would be refused of steps that a run which stops has not come to, and why: if it left out what
        it stops at, and went on.

        Args:
            steps: in their order.
            refused: what it stops at.
            shown_by: gives for a version the one at the destination that shows what is in it: itself, or
                while it is still to be made there, its nearest ancestor, which it will begin as.
        """
        return iter(())

    def left_out(self, event: Event) -> None:
        """An event was left out for good: what it touches is not as at the source."""

    def behind(self) -> Sequence[Behind]:
        """What is not as at the source, as events on it were left out; earlier runs included, once they were
        met."""
        return ()

    def before_commit(self, version: str) -> None:
        """A version is about to be committed at the destination."""

    def end_of_chunk(self, applied: Collection[Event], *, at_cut: bool, caught_up: bool) -> None:
        """All steps of a chunk are done.

        Args:
            applied: what is applied, what was present before included.
            at_cut: it was the last chunk of a pass.
            caught_up: all that the source announced up to the start of the run is applied.
        """


CarryOut = Callable[[Sequence[Step]], Sequence[Outcome]]
"""Carries out a graph of steps; gives what became of each, by position. Raises ServerError, OwnershipLost."""


@dataclass(frozen=True, slots=True)
class Commands:
    """What takes commands that repeat no event.

    Args:
        carry_out: carries them out, whatever people at the destination changed.
        try_out: changes nothing, and refuses what a run would leave alone, as people there changed it.
    """

    carry_out: CarryOut
    try_out: CarryOut


def single(command: Command, event: Event) -> Step:
    """A step of one command that repeats one event."""
    return Step(command, (event,), (event,))
