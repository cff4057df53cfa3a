"""A data type at the source: what the log announced, what of it happened, and what the source is asked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from enum import Enum

from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.events.event import Announcement, Event


class Fate(Enum):
    """What became of an event whose completion was not read."""

    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"


AskFates = Callable[[Sequence[Event], Sequence[Event]], Mapping[Hashable, Fate]]
"""Asks the source about starts, by their identities; the second are what is known to be done. What the
answer lacks is unknown."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What a stretch of the log announced, of one data type.

    Args:
        announced: in log order.
        ahead: what has been read, but lies past the stretch; in log order too.
        applied_before: identities of events that were handed on in earlier stretches of the same run.
        ended_before: whether a start with a smaller key than this (ns) and no completion has failed, or goes
            on for long, or lost its completion, is asked of the source.
        ask: does that.
        waiting: instances in which completions may be among what must wait: no start is asked about there.
        counters: the source's own counters of ids, by instance; one that is not named can stand anywhere.
    """

    announced: Sequence[Announcement]
    ahead: Sequence[Announcement]
    applied_before: Collection[Hashable]
    ended_before: int
    ask: AskFates
    waiting: Collection[str]
    counters: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Gathered:
    """What happened in a stretch.

    Args:
        done: in log order.
        pending: started, and neither done nor known to have failed. What depends on them must wait.
        unheard: those of `done` whose completion was not read: the source has them.
        to_come: what came before something in this stretch, and is announced only after it.
        duplicates: announcements that said the same again.
        failed: starts that will never complete.
    """

    done: list[Event] = field(default_factory=list)
    pending: list[Event] = field(default_factory=list)
    unheard: list[Event] = field(default_factory=list)
    to_come: list[Event] = field(default_factory=list)
    duplicates: int = 0
    failed: int = 0


class SourceSide:
    """What a data type asks of the source while a run lasts. This one asks nothing.

    Args:
        client: of the source.
        clock: its time at the start of the run (ns since 1970).
        started: when its process began, by the same clock; None if it does not tell.
        pool: for requests side by side.
    """

    def __init__(self, client: Transport, clock: int, started: int | None, pool: Executor) -> None:
        self.client = client
        self.clock = clock
        self.started = started
        self.pool = pool

    def fates(self, starts: Sequence[Event], done: Sequence[Event]) -> Mapping[Hashable, Fate]:
        """See `AskFates`. Raises ServerError if the source does not answer."""
        return {}

    def listed_ids(self, instance: str, version: str) -> Collection[int]:
        """The mutation ids of the events that the source's own list has, where it keeps one."""
        return ()

    def why_not_late(self, event: Event, *, has_children: bool) -> str | None:
        """Why an event that was set aside cannot be repeated now, long after it happened; None if it can.

        Args:
            has_children: whether versions were made from the event's.
        """
        return None
