"""What all events have in common, whatever data type they are of.

An event is what one record of the log, or two that belong together, say happened at the source. It tells
nothing of how a destination repeats it.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from dvidsync_dagster.events.origin import Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something happened at the source.

    Args:
        origin: the record that tells of it; of two, the one that says that it is done.
        version: UUID of the version that changed; of a new version, its parent. A setting of the whole
            instance can have none ("").
        instance: name of the instance that changed; "" for what the repo itself announces.
    """

    typename: ClassVar[str]
    """The data type that it is of; ``repo`` for what the repo itself announces."""

    origin: Origin
    version: str
    instance: str = ""

    @property
    def action(self) -> str:
        """As DVID names it."""
        raise NotImplementedError

    @property
    def identity(self) -> Hashable:
        """The same for records that tell of the same event."""
        return self.origin


Rank = tuple[int, int]
"""Era (ns since 1970, or 0) and mutation id: the order of the events that change one body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedEvent(Event):
    """An event with a MutationID, which DVID gives once in a repo.

    Args:
        era: when the source began to count its ids again, see `log.eras`; 0 if it never did.
        started_ns: the key of the record that announced its start; 0 if that was not read.
        user, app: as the request gave them.
    """

    mutation_id: int
    era: int = 0
    started_ns: int = 0
    user: str = ""
    app: str = ""

    @property
    def rank(self) -> Rank:
        return (self.era, self.mutation_id)

    @property
    def identity(self) -> Hashable:
        return (self.instance, self.version, self.era, self.mutation_id)


@dataclass(frozen=True, slots=True)
class Announcement:
    """What one record says: that an event has begun (`done` is False), or that it happened."""

    event: Event
    done: bool = True


@dataclass(frozen=True, slots=True)
class Consequence:
    """What one record says of something that follows from other events. It is never repeated by itself."""


@runtime_checkable
class SplitsSupervoxels(Protocol):
    """An event by which supervoxels are there no more: each becomes two others."""

    @property
    def parts(self) -> tuple[tuple[int, int, int], ...]:
        """A supervoxel, what was split off, and what remained, each."""
        ...
