"""A look at all bodies that a batch touches, before the first of them is changed.

It is made where people may have changed some, and a run stops at what they did: once for each instance and
version, when its first operation is due. Its version is there by then.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from dvidsync_dagster.datatypes.commands import Step
from dvidsync_dagster.datatypes.labelmap.events import BodyEvent
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.plan.outcome import Refusal


@dataclass(frozen=True, slots=True)
class Findings:
    """What a look found of operations, by position.

    Args:
        refused: those that cannot be done, and why.
        present: those whose bodies are after them as the source has them, whoever did that.
    """

    refused: Mapping[int, Refusal] = field(default_factory=dict)
    present: frozenset[int] = frozenset()


class BatchLook:
    """For one plan. It is asked by several threads.

    Args:
        look: finds it out for operations of one instance and version, which are in their order.
    """

    def __init__(self, steps: Iterable[Step], look: Callable[[Sequence[BodyEvent]], Findings]) -> None:
        self._look = look
        self._operations: dict[tuple[str, str], list[BodyEvent]] = {}
        self._refused: dict[Hashable, Refusal] = {}
        self._present: set[Hashable] = set()
        self._lock = threading.Lock()
        for event in (event for step in steps for event in step.events):
            if isinstance(event, BodyEvent):
                self._operations.setdefault((event.instance, event.version), []).append(event)

    def of(self, events: Sequence[Event]) -> Findings:
        """What was found of some of the operations, all of one instance and version."""
        with self._lock:
            for place in {(event.instance, event.version) for event in events} & self._operations.keys():
                self._find(sorted(self._operations[place], key=lambda event: event.rank))
                del self._operations[place]
        refused = {
            part: Refusal(part, known.found, known.reason, known.cause)
            for part, event in enumerate(events)
            if (known := self._refused.get(event.identity)) is not None
        }
        present = (part for part, event in enumerate(events) if event.identity in self._present)
        return Findings(refused, frozenset(present))

    def _find(self, operations: Sequence[BodyEvent]) -> None:
        found = self._look(operations)
        self._refused |= {operations[part].identity: refusal for part, refusal in found.refused.items()}
        self._present |= {operations[part].identity for part in found.present}
