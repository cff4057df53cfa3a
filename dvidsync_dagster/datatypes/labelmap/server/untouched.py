"""Whether the bodies that an operation touches are as the source had them, at a destination where people may
have changed some.

A body is not, if its last change is the destination's own, or if an earlier operation on it was left out. A
label or a supervoxel id that the destination gave itself is never taken for the source's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cache

from dvidsync_dagster.datatypes.labelmap.claims import body_key
from dvidsync_dagster.datatypes.labelmap.counter_rule import ids_of
from dvidsync_dagster.datatypes.labelmap.events import BodyEvent, Renumber, Split, SplitSupervoxel
from dvidsync_dagster.datatypes.labelmap.server.presence import Body, Seen, has_reached
from dvidsync_dagster.datatypes.labelmap.server.read_in_bulk import last_mods
from dvidsync_dagster.datatypes.labelmap.server.seen import Contact, body_of
from dvidsync_dagster.dvid.labelmap import Labelmap, LastMod
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.log.checkpoint import Behind
from dvidsync_dagster.plan.outcome import Refusal
from dvidsync_dagster.refusal_reason import RefusalReason

_ONE_BY_ONE = 20
"""So many bodies are asked for one by one; more are read in bulk, which tells more than is needed."""


@dataclass(frozen=True, slots=True)
class BodiesNow:
    """What was read of the bodies in one version at the destination.

    Args:
        lasts: their last changes; None for a body that is not there.
        homes: by supervoxel that an operation splits, and by id that one brings, the body in which it is; 0
            for none.
    """

    lasts: Mapping[int, LastMod | None]
    homes: Mapping[int, int]


def read_bodies_now(
    events: Collection[BodyEvent], labelmap: Labelmap, version: str, pool: Executor
) -> BodiesNow:
    """All that tells whether operations can be done in a version."""
    ids = sorted({each for event in events for each in (*_brought(event), *_split(event))})
    homes = dict(zip(ids, labelmap.mapping(version, ids), strict=True)) if ids else {}
    touched = {each for event in events for each in (*event.bodies, *_brought(event))}
    labels = sorted((touched | set(homes.values())) - {0})
    return BodiesNow(last_mods_of(labelmap, version, labels, pool), homes)


class Depending:
    """Bodies of operations that cannot be done, in the order in which these come."""

    def __init__(self) -> None:
        self._first: dict[int, str] = {}

    def add(self, event: BodyEvent) -> None:
        for label in filter(None, event.bodies):
            self._first.setdefault(label, str(event.origin))

    def on(self, place: int, event: BodyEvent) -> Refusal | None:
        """Why an operation cannot be done, if it shares a body with one of them."""
        label = next((label for label in event.bodies if label in self._first), None)
        return _depends(place, label, self._first[label]) if label is not None else None


def _depends(place: int, body: int | str, where: str) -> Refusal:
    return Refusal(place, f"body {body} is not as at the source, as {where} was left out", cause=where)


class Untouched:
    """What is known of a destination's labelmaps. It is asked by several threads.

    Args:
        ancestors: of a version at the source.
        begun: bodies (instance, version, label) of a repair that did not end: signed as the source's, and
            perhaps not as at the source.
    """

    def __init__(
        self,
        ancestors: Callable[[str], Collection[str]],
        begun: frozenset[tuple[str, str, int]] = frozenset(),
    ) -> None:
        self._ancestors = cache(lambda version: frozenset(ancestors(version)) | {version})
        self._begun = begun
        self._behind: dict[tuple[str, str, int], Behind] = {}
        self._lock = threading.Lock()

    def met(self, behind: Sequence[Behind]) -> None:
        """What a checkpoint says is behind."""
        for each in behind:
            if each.item.isdigit():
                self._behind.setdefault((each.instance, each.version, int(each.item)), each)

    def left_out(self, event: BodyEvent) -> None:
        era, number = event.rank
        with self._lock:
            for label in filter(None, event.bodies):
                row = Behind(event.instance, event.version, str(label), era, number, str(event.origin))
                self._behind.setdefault((event.instance, event.version, label), row)

    def behind(self) -> Sequence[Behind]:
        return list(self._behind.values())

    def beyond(self, events: Collection[BodyEvent]) -> Untouched:
        """The same, as if these had been left out."""
        found = Untouched(self._ancestors, self._begun)
        found._behind = dict(self._behind)
        for event in sorted(events, key=lambda event: event.rank):
            found.left_out(event)
        return found

    def why_not(
        self, events: Sequence[Event], labelmap: Labelmap, pool: Executor, contact: Contact
    ) -> dict[int, Refusal]:
        """Which operations of one version (by position, in their order) cannot be done, and why."""
        own = {place: event for place, event in enumerate(events) if isinstance(event, BodyEvent)}
        if not own:
            return {}
        version = next(iter(own.values())).version
        now = read_bodies_now(own.values(), labelmap, version, pool)
        refused: dict[int, Refusal] = {}
        depending = Depending()
        for place, event in own.items():
            why = self.why_not_by(place, event, now, contact) or depending.on(place, event)
            if why is not None:
                refused[place] = why
                depending.add(event)
        return refused

    def left_alone(self, events: Sequence[Event], seen: Seen) -> set[int]:
        """Those of the operations (by position) which count as not applied, whatever the destination looks
        like: people there may have made it look so, or have changed since what a killed run did."""
        found = set()
        for index, event in enumerate(events):
            if isinstance(event, BodyEvent):
                bodies = {
                    label: seen.bodies.get(body_key(event.instance, event.version, label))
                    for label in filter(None, event.bodies)
                }
                left = [body for label in event.survivors if (body := bodies.get(label)) is not None]
                hidden = bool(left) and all(body.reached is None for body in left)
                if hidden or self._cause(event, bodies) is not None:
                    found.add(index)
        return found

    def why_not_by(
        self, place: int, event: BodyEvent, now: BodiesNow, contact: Contact, *, cause: bool = False
    ) -> Refusal | None:
        """Why an operation cannot be done, by what is known of its bodies alone.

        Args:
            cause: only because an earlier one was left out.
        """
        touched = {label: now.lasts[label] for label in filter(None, event.bodies)}
        if not cause and (label := self._begun_of(event, now)):
            return Refusal(place, f"a repair has begun to change body {label}, and did not end")
        for label, last in touched.items() if not cause else ():
            if last is not None and is_own(last, contact):
                return Refusal(place, f"body {label} is the destination's own work: {_who(last)}")
        bodies = {label: body_of(last, contact) if last else None for label, last in touched.items()}
        row = self._cause(event, bodies)
        if row is not None:
            return _depends(place, row.item, row.where)
        for each in _split(event) if not cause else ():
            # Its body may be gone: DVID would split it wherever it is.
            home = now.homes[each]
            last = now.lasts[home] if home else None
            if last is not None and is_own(last, contact):
                found = f"supervoxel {each} is in body {home}, the destination's own work: {_who(last)}"
                return Refusal(place, found)
        for each in _brought(event) if not cause else ():
            for body in filter(None, (each, now.homes[each])):
                last = now.lasts[body]
                if last is not None and is_own(last, contact):
                    found = f"the destination gave id {each} itself, to body {body}: {_who(last)}"
                    return Refusal(place, found, RefusalReason.LABEL_EXISTS)
        return None

    def _begun_of(self, event: BodyEvent, now: BodiesNow) -> int:
        """One of the bodies that it touches, if a repair of it did not end; else 0."""
        if not self._begun:
            return 0
        ids = (*_brought(event), *_split(event))
        labels = {*event.bodies, *ids, *(now.homes[each] for each in ids)}
        versions = self._ancestors(event.version)
        found = (
            body
            for name, version, body in self._begun
            if body in labels and name == event.instance and version in versions
        )
        return next(found, 0)

    def _cause(self, event: BodyEvent, bodies: Mapping[int, Body | None]) -> Behind | None:
        """What was left out before an event on one of its bodies, if that was not repaired since."""
        if not self._behind or any(has_reached(bodies.get(label), event.rank) for label in event.survivors):
            return None
        for label, body in bodies.items():
            for version in self._ancestors(event.version):
                row = self._behind.get((event.instance, version, label))
                if row is None:
                    continue
                rank = (row.era, row.mutation_id)
                if not has_reached(body, rank):
                    if rank < event.rank:
                        return row
                elif version == event.version:
                    # A repair has signed it.
                    with self._lock:
                        self._behind.pop((event.instance, version, label), None)
        return None


def is_own(last: LastMod, contact: Contact) -> bool:
    """Whether a body's last change is the destination's own."""
    return body_of(last, contact).reached is None


def _brought(event: BodyEvent) -> tuple[int, ...]:
    """The ids that an operation brings into the world."""
    match event:
        case Split() | SplitSupervoxel():
            halves = tuple(each for _, *pair in event.parts for each in pair)
            return (event.new, *halves) if isinstance(event, Split) else halves
        case Renumber():
            return event.survivors
    ids = ids_of(event)
    return (ids.last,) if ids is not None else ()


def _split(event: BodyEvent) -> tuple[int, ...]:
    """The supervoxels that an operation splits."""
    return tuple(each for each, *_ in event.parts) if isinstance(event, Split | SplitSupervoxel) else ()


def _who(last: LastMod) -> str:
    user = last.user or "somebody"
    return f"{user} changed it last there, {last.time or f'with mutation {last.mutation_id}'}"


def last_mods_of(
    labelmap: Labelmap, version: str, labels: Sequence[int], pool: Executor
) -> Mapping[int, LastMod | None]:
    """The last changes of bodies of a version, in their order; None for one that is not there."""
    if len(labels) > _ONE_BY_ONE:
        return last_mods(labelmap, version, labels)
    found = pool.map(lambda label: labelmap.last_mod(version, label), labels)
    return dict(zip(labels, found, strict=True))
