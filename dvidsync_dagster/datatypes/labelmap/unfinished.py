"""Operations that were announced as started and never as done: the source's bodies tell what became of them.

See docs/dvid.md, "Locks of label operations". DVID takes the lock of a cleaved or split body at once, and
every look at that body waits for it: a look that is answered comes after the operation. A merge or a renumber
takes no such lock, but DVID announces it only when it has checked that it can be done. So a merge that is not
there yet goes on, unless the server was started again since: nothing survives that.

What these rules do not decide stays unknown, and what depends on it waits.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Hashable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from dvidsync_dagster.datatypes.labelmap.events import (
    BodyEvent,
    Cleave,
    Merge,
    Renumber,
    Split,
    SplitSupervoxel,
)
from dvidsync_dagster.datatypes.source_side import Fate, SourceSide
from dvidsync_dagster.dvid.labelmap import Labelmap, LastMod
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.events.event import Event

NANOSECONDS = 1_000_000_000
LOCKED_WITHIN = NANOSECONDS
"""A server that announces a cleave takes the lock of its body within this time (ns)."""
HEARD_WITHIN = 60 * NANOSECONDS
"""A completion that is not read so long (ns) after the start is taken for lost, if the source's bodies have
the operation. Until then it is awaited: it tells more. One that comes still later finds it applied."""


class LabelmapSource(SourceSide):
    """Asks the source what became of starts."""

    def __init__(self, client: Transport, clock: int, started: int | None, pool: Executor) -> None:
        super().__init__(client, clock, started, pool)
        self._made = time.monotonic()

    def fates(self, starts: Sequence[Event], done: Sequence[Event]) -> Mapping[Hashable, Fate]:
        """What became of the starts, as far as the source tells; a few small requests for each."""
        now = self.clock + int((time.monotonic() - self._made) * NANOSECONDS)
        asked = [start for start in starts if isinstance(start, BodyEvent)]
        wait = max(start.origin.key_ns for start in asked) + LOCKED_WITHIN - now
        time.sleep(min(max(wait, 0), LOCKED_WITHIN) / NANOSECONDS)
        takers = _takers(done)
        found = zip(asked, self.pool.map(lambda start: self._fate(start, takers), asked), strict=True)
        return {
            start.identity: fate
            for start, fate in found
            if fate is not Fate.DONE or start.origin.key_ns < now - HEARD_WITHIN
        }

    def listed_ids(self, instance: str, version: str) -> Collection[int]:
        return Labelmap(self.client, instance).mutation_ids(version)

    def why_not_late(self, event: Event, *, has_children: bool) -> str | None:
        """It is repeated only if the source's bodies are still as it left them."""
        if not isinstance(event, BodyEvent):
            return "a counter follows the source's own"
        if has_children or not self._is_last(event):
            return "its bodies have changed since, or may have"
        return None

    def _is_last(self, event: BodyEvent) -> bool:
        labelmap = Labelmap(self.client, event.instance)
        for label in event.survivors:
            last = labelmap.last_mod(event.version, label)
            if last is None or last.mutation_id != event.mutation_id:
                return False
        gone = set(event.bodies) - set(event.survivors)
        return all(labelmap.last_mod(event.version, label) is None for label in gone)

    def _fate(self, start: BodyEvent, takers: Mapping[tuple[str, str, int], int]) -> Fate:
        restarted = self.started is not None and start.origin.key_ns < self.started
        look = _Look(Labelmap(self.client, start.instance), start, restarted, takers)
        try:
            return look.fate()
        except RequestRefused:
            return Fate.UNKNOWN


@dataclass(frozen=True, slots=True)
class _Look:
    """A look at the source for one start. `takers` holds the last operation known to take each body away."""

    labelmap: Labelmap
    start: BodyEvent
    restarted: bool
    takers: Mapping[tuple[str, str, int], int]

    def fate(self) -> Fate:
        match self.start:
            case Cleave():
                return self._cleave(self.start)
            case SplitSupervoxel() | Split():
                return self._split(self.start)
            case Merge():
                return self._moved(self.start, self.start.target, self.start.labels)
            case Renumber():
                return self._moved(self.start, self.start.new, (self.start.orig,))
        raise TypeError(f"no labelmap operation: {self.start!r}")

    def _cleave(self, cleave: Cleave) -> Fate:
        old = self._last(cleave.orig)  # waits for the body's lock
        new = self._last(cleave.new)
        given = self._known(cleave.new)
        if new is None and not given:
            # A cleave of nothing makes no body.
            done = Fate.DONE if cleave.supervoxels == () else Fate.UNKNOWN
            return done if self._is_this(old) else Fate.FAILED
        made = self._is_this(old) or self._is_this(new) or (given and not self._is_older(new))
        told = cleave.supervoxels is not None or cleave.data_ref
        return Fate.DONE if made and told else Fate.UNKNOWN

    def _split(self, split: SplitSupervoxel | Split) -> Fate:
        self._last(split.survivors[0])  # waits for the body's lock
        parts = [part for _, *given in split.parts for part in given]
        known = [self._known(part) for part in parts]
        gone = self.labelmap.mapping(split.version, [supervoxel for supervoxel, _, _ in split.parts])
        if known and all(known) and not any(gone):
            return Fate.DONE
        return Fate.UNKNOWN if any(known) else Fate.FAILED

    def _moved(self, start: Merge | Renumber, to: int, labels: Sequence[int]) -> Fate:
        target = self._last(to) if to else None  # the background has no last change
        left = [label for label in labels if self._is_older(self._last(label))]
        if not left and self._is_this(target):
            return Fate.DONE
        if left:
            # The target's index is written before those of the labels are deleted.
            torn = self.restarted and self._is_this(target)
            return Fate.DONE if torn else Fate.FAILED if self.restarted else self._by_list()
        if target is not None and 0 < target.mutation_id < start.mutation_id:
            # Whatever took the labels away, it was not this.
            return Fate.FAILED
        others = [self.takers.get((start.instance, start.version, label), 0) for label in labels]
        if any(other > start.mutation_id for other in others):
            # Done again after the server was killed, perhaps.
            return Fate.FAILED if self.restarted else self._by_list()
        return self._by_list() if self.restarted else Fate.DONE

    def _by_list(self) -> Fate:
        listed = self.start.mutation_id in self.labelmap.mutation_ids(self.start.version)
        return Fate.DONE if listed else Fate.UNKNOWN

    def _last(self, label: int) -> LastMod | None:
        return self.labelmap.last_mod(self.start.version, label)

    def _known(self, label: int) -> bool:
        (known,) = self.labelmap.known(self.start.version, [label])
        return known

    def _is_this(self, last: LastMod | None) -> bool:
        return last is not None and last.mutation_id == self.start.mutation_id

    def _is_older(self, last: LastMod | None) -> bool:
        return last is not None and last.mutation_id < self.start.mutation_id


def _takers(done: Sequence[Event]) -> dict[tuple[str, str, int], int]:
    """By instance, version and body, the last operation that took the body away."""
    found: dict[tuple[str, str, int], int] = {}
    for event in done:
        if isinstance(event, Merge | Renumber):
            labels = event.labels if isinstance(event, Merge) else (event.orig,)
            for label in labels:
                place = (event.instance, event.version, label)
                found[place] = max(found.get(place, 0), event.mutation_id)
    return found
