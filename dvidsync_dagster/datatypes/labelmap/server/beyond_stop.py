"""Which operations would be left out if a run that stops went on: those on bodies that people changed, those
on bodies that are not there, and all that depend on them or on what it stops at."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Executor

from dvidsync_dagster.datatypes.labelmap.events import BodyEvent, Cleave, Renumber, Split
from dvidsync_dagster.datatypes.labelmap.server.batch_look import Findings
from dvidsync_dagster.datatypes.labelmap.server.seen import Contact
from dvidsync_dagster.datatypes.labelmap.server.untouched import There, Untouched, read
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.plan.outcome import Refusal


class BeyondStop:
    """Goes through operations that a run has not come to, version after version.

    Args:
        untouched: what is not as at the source, what the run stops at included.
        labelmap: gives the destination's labelmap of that name.
    """

    def __init__(
        self, untouched: Untouched, labelmap: Callable[[str], Labelmap], pool: Executor, contact: Contact
    ) -> None:
        self._untouched = untouched
        self._labelmap = labelmap
        self._pool = pool
        self._contact = contact
        self._made: set[tuple[str, int]] = set()

    def refused(
        self, instance: str, version: str, events: Sequence[BodyEvent], looked: Findings | None
    ) -> Iterator[tuple[BodyEvent, Refusal]]:
        """Which of these would be left out, and why.

        Args:
            version: the one at the destination that shows what the operations would find.
            events: of one version, in their order.
            looked: what a look found of them, if it was made.
        """
        there = read(events, self._labelmap(instance), version, self._pool)
        found = looked or Findings()
        for place, event in enumerate(events):
            if place in found.present:
                continue
            why = (
                found.refused.get(place)
                or self._untouched.why_not_by(place, event, there, self._contact, cause=looked is not None)
                or self._lacks(place, event, there)
            )
            if why is not None:
                self._untouched.left_out(event)
                yield event, why
            else:
                self._made.update((instance, label) for label in event.survivors)

    def _lacks(self, place: int, event: BodyEvent, there: There) -> Refusal | None:
        made = event.survivors if isinstance(event, Renumber) else ()
        made = (event.new,) if isinstance(event, Cleave | Split) else made
        for label in filter(None, event.bodies):
            known = there.lasts[label] is not None or (event.instance, label) in self._made
            if not known and label not in made:
                return Refusal(place, f"there is no body {label}")
        return None


def by_place(
    events: Sequence[BodyEvent], ancestors: Callable[[str], Collection[str]]
) -> dict[tuple[str, str], list[BodyEvent]]:
    """By instance and version, parents first."""
    found: dict[tuple[str, str], list[BodyEvent]] = {}
    for event in sorted(events, key=lambda event: (len(ancestors(event.version)), event.rank)):
        found.setdefault((event.instance, event.version), []).append(event)
    return found
