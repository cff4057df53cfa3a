"""Whether all that an operation touches is at the destination as the source had it before.

A body whose last change carries no tag, and did not come with the copied folder, is the destination's own.
What the source does with it is left out. So a tag on a body says that it is as the source had it then: no
operation is ever applied to one that was the destination's own before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from dvidsync_dagster.datatypes.labelmap.claims import body_key
from dvidsync_dagster.datatypes.labelmap.events import BodyEvent, Cleave, Split, SplitSupervoxel
from dvidsync_dagster.datatypes.labelmap.server.others import Others
from dvidsync_dagster.datatypes.labelmap.server.presence import made_by
from dvidsync_dagster.datatypes.labelmap.server.seen import Contact, body_of
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.errors import RefusalReason
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.plan.claims import Key
from dvidsync_dagster.plan.left_out import LeftOut
from dvidsync_dagster.plan.outcome import Refusal


class Untouched:
    """The bodies of one instance.

    Args:
        labelmap: the destination's.
        contact: how the destination was found when it was first met.
        left_out: what was left out.
        ancestors: of a version, itself included.
        others: who else is at work there; None if that is not known, so that each body is looked at.
    """

    def __init__(
        self,
        instance: str,
        labelmap: Labelmap,
        contact: Callable[[], Contact],
        left_out: LeftOut,
        ancestors: Callable[[str], Collection[str]],
        others: Others | None,
    ) -> None:
        self._instance = instance
        self._labelmap = labelmap
        self._contact = contact
        self._left_out = left_out
        self._ancestors = ancestors
        self._others = others
        self._looked_at: dict[Key, int] = {}

    def why_not(self, event: BodyEvent) -> Refusal | None:
        """Why an operation must be left out; None if all that it touches is as the source had it."""
        earlier = self.depends_on(event)
        if earlier:
            others = f" and {len(earlier) - 1} more" if len(earlier) > 1 else ""
            why = f"it depends on what was left out before: {earlier[0]}{others}"
            return Refusal(0, why, RefusalReason.LEFT_OUT_BEFORE, tuple(earlier))
        if self._others is not None and self._others.none_ever():
            return None
        found = next(self._own_bodies(event), None) or self._own_supervoxels(event)
        return Refusal(0, found, RefusalReason.OWN_EDIT) if found is not None else None

    def depends_on(self, event: BodyEvent) -> list[str]:
        """The places of what was left out before on one of its bodies."""
        return self._left_out.before(self._keys(event), event.rank) if self._left_out else []

    def settled(self, events: Iterable[Event], *, left_out: bool) -> None:
        """What became of events. What touches the bodies of one that is left out later depends on it."""
        for event in events:
            if left_out and isinstance(event, BodyEvent):
                keys = [body_key(self._instance, event.version, label) for label in event.bodies if label]
                self._left_out.add(keys, event.rank, str(event.origin))
            elif self._left_out:
                self._left_out.forget(str(event.origin))

    def _keys(self, event: BodyEvent) -> Iterator[Key]:
        """Its bodies, in its version and in those that this was made from."""
        for version in {event.version, *self._ancestors(event.version)}:
            for label in event.bodies:
                if label:
                    yield body_key(self._instance, version, label)

    def _own_bodies(self, event: BodyEvent) -> Iterator[str]:
        """What is the destination's own among the bodies of an operation, for people."""
        span = self._others.span() if self._others is not None else None
        made = made_by(event)
        for label in event.bodies:
            key = body_key(self._instance, event.version, label)
            if not label or (span is not None and self._looked_at.get(key) == span):
                continue
            last = self._labelmap.last_mod(event.version, label)
            if last is not None and body_of(last, self._contact()).reached is None:
                by = f", by {last.user}" if last.user else ""
                what = "has this label" if label in made else "was changed"
                yield f"body {label} {what} at the destination itself{by}"
            elif span is not None:
                self._looked_at[key] = span

    def _own_supervoxels(self, event: BodyEvent) -> str | None:
        """What is the destination's own among the supervoxels that an operation splits, and those that have
        the ids which it gives; for people."""
        parts = event.parts if isinstance(event, SplitSupervoxel | Split) else ()
        given = [event.new] if isinstance(event, Cleave | Split) else []
        ids = [*given, *(label for part in parts for label in part)]
        if not ids:
            return None
        homes = dict(zip(ids, self._labelmap.mapping(event.version, ids), strict=True))
        for supervoxel, *halves in parts:
            home, body = homes[supervoxel], event.survivors[0]
            if home not in (0, body):
                return f"supervoxel {supervoxel} is in body {home} at the destination, not in {body}"
            # Where it is split already, the halves are the source's.
            given += halves if home else ()
        for label in given:
            if homes[label]:
                return f"the destination has a supervoxel {label} of its own"
        bodies = (label for label in given if label not in event.bodies)
        taken = next((label for label in bodies if self._labelmap.last_mod(event.version, label)), None)
        return f"the destination has a body {taken} of its own" if taken is not None else None
