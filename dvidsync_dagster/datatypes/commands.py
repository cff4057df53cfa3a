"""What is asked of a DVID server. A command stands for itself: it names no record of the source's log.

A run makes commands of events, a repair of what a comparison found. Both are carried out the same way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from dvidsync_dagster.events.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What all have in common.

    Args:
        version: UUID of the version to change; "" where the whole instance or the repo changes.
        instance: its name; "" where the repo itself changes.
    """

    typename: ClassVar[str]
    """The data type that carries it out."""

    version: str
    instance: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """A command in a graph of commands.

    Args:
        command: what to do.
        events: what it repeats, in their order; nothing if it repeats no event.
        answering: for each part of the command that can be refused alone, the event that answers for it, in
            the order of `Refusal.part`.
        waits_for: indexes of the steps that must be done before.
    """

    command: Command
    events: tuple[Event, ...] = ()
    answering: tuple[Event, ...] = ()
    waits_for: tuple[int, ...] = field(default=())
