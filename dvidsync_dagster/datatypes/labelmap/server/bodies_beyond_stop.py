"""Which operations would be left out if a run that stops went on: those on bodies that people changed, those
on bodies that are not there, and all that depend on them or on what it stops at."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Executor

from dvidsync_dagster.datatypes.commands import Step
from dvidsync_dagster.datatypes.labelmap.events import BodyEvent, Cleave, Renumber, Split
from dvidsync_dagster.datatypes.labelmap.server.batch_look import BatchLook, Findings
from dvidsync_dagster.datatypes.labelmap.server.seen import Contact
from dvidsync_dagster.datatypes.labelmap.server.untouched import BodiesNow, Untouched, read_bodies_now
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.plan.outcome import Refusal


class BodiesBeyondStop:
    """Goes through operations that a run has not come to, version after version.

    Args:
        untouched: what is not as at the source, what the run stops at included.
        labelmap: gives the destination's labelmap of that name.
        shown_by: the version at the destination that shows what another one will take over.
        look: what looks at the bodies of versions that are there, if that is done.
    """

    def __init__(
        self,
        untouched: Untouched,
        labelmap: Callable[[str], Labelmap],
        pool: Executor,
        contact: Contact,
        shown_by: Callable[[str], str],
        look: BatchLook | None,
    ) -> None:
        self._untouched = untouched
        self._labelmap = labelmap
        self._pool = pool
        self._contact = contact
        self._shown_by = shown_by
        self._look = look
        self._made: set[tuple[str, int]] = set()

    def refused(
        self, steps: Sequence[Step], ancestors: Callable[[str], Collection[str]]
    ) -> Iterator[tuple[BodyEvent, Refusal]]:
        """Which operations of these steps would be left out, and why.

        Args:
            ancestors: of a version at the source.
        """
        events = [event for step in steps for event in step.events if isinstance(event, BodyEvent)]
        for (instance, version), own in _by_place(events, ancestors).items():
            shown = self._shown_by(version)
            looked = self._look.of(own) if self._look is not None and shown == version else None
            yield from self._refused_in(instance, shown, own, looked)

    def _refused_in(
        self, instance: str, version: str, events: Sequence[BodyEvent], looked: Findings | None
    ) -> Iterator[tuple[BodyEvent, Refusal]]:
        now = read_bodies_now(events, self._labelmap(instance), version, self._pool)
        found = looked or Findings()
        for place, event in enumerate(events):
            if place in found.present:
                continue
            why = (
                found.refused.get(place)
                or self._untouched.why_not_by(place, event, now, self._contact, cause=looked is not None)
                or self._lacks(place, event, now)
            )
            if why is not None:
                self._untouched.left_out(event)
                yield event, why
            else:
                self._made.update((instance, label) for label in event.survivors)

    def _lacks(self, place: int, event: BodyEvent, now: BodiesNow) -> Refusal | None:
        made = event.survivors if isinstance(event, Renumber) else ()
        made = (event.new,) if isinstance(event, Cleave | Split) else made
        for label in filter(None, event.bodies):
            known = now.lasts[label] is not None or (event.instance, label) in self._made
            if not known and label not in made:
                return Refusal(place, f"there is no body {label}")
        return None


def _by_place(
    events: Sequence[BodyEvent], ancestors: Callable[[str], Collection[str]]
) -> dict[tuple[str, str], list[BodyEvent]]:
    """By instance and version, parents first."""
    found: dict[tuple[str, str], list[BodyEvent]] = {}
    for event in sorted(events, key=lambda event: (len(ancestors(event.version)), event.rank)):
        found.setdefault((event.instance, event.version), []).append(event)
    return found
