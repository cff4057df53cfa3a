"""Operations that were announced as started and never as done: the source's bodies tell what became of them.

DVID takes the lock of a cleaved or split body at once, and every look at that body waits for it: a look that
is answered comes after the operation. A merge or a renumber takes no such lock, but DVID announces it only
when it has checked that it can be done. So a merge that is not there yet goes on, unless the server was
started again since: nothing survives that.

What these rules do not decide stays unknown, and what depends on it waits.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

from dvidsync_dagster.datatypes.labelmap.events import (
    BodyEvent,
    Cleave,
    LabelEvent,
    Merge,
    Renumber,
    Split,
    SplitSupervoxel,
)
from dvidsync_dagster.datatypes.labelmap.gather import Fate, Identity, identity
from dvidsync_dagster.dvid.labelmap import Labelmap, LastMod
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.errors import RequestRefused

NANOSECONDS = 1_000_000_000
LOCKED_WITHIN = NANOSECONDS
"""A server that announces a cleave takes the lock of its body within this time (ns)."""
HEARD_WITHIN = 60 * NANOSECONDS
"""A completion that is not read so long (ns) after the start is taken for lost, if the source's bodies have
the operation. Until then it is awaited: it tells more. One that comes still later finds it applied."""
LONG_AGO = 3600 * NANOSECONDS
"""An operation that has been open for so long (ns) is shown to people."""


@dataclass(frozen=True, slots=True)
class SourceBodies:
    """Asks the source what became of starts.

    Args:
        source: the server.
        clock: its time (ns since 1970) when this was made.
        started: when its process began, by the same clock; None if it does not tell.
        pool: for requests side by side.
    """

    source: Transport
    clock: int
    started: int | None
    pool: Executor
    _made: float = field(default_factory=time.monotonic)

    def fates(self, starts: Sequence[BodyEvent], done: Sequence[LabelEvent]) -> Mapping[Identity, Fate]:
        """What became of the starts, as far as the source tells; a few small requests for each.

        Args:
            done: what is known to have happened.

        Raises:
            ServerError: the source does not answer.
        """
        now = self.clock + int((time.monotonic() - self._made) * NANOSECONDS)
        wait = max(start.origin.key_ns for start in starts) + LOCKED_WITHIN - now
        time.sleep(min(max(wait, 0), LOCKED_WITHIN) / NANOSECONDS)
        takers = _takers(done)
        found = zip(starts, self.pool.map(lambda start: self._fate(start, takers), starts), strict=True)
        return {
            identity(start): fate
            for start, fate in found
            if fate is not Fate.DONE or start.origin.key_ns < now - HEARD_WITHIN
        }

    def _fate(self, start: BodyEvent, takers: Mapping[tuple[str, str, int], int]) -> Fate:
        look = _Look(Labelmap(self.source, start.instance), start, self._restarted_since(start), takers)
        try:
            return look.fate()
        except RequestRefused:
            return Fate.UNKNOWN

    def _restarted_since(self, start: BodyEvent) -> bool:
        return self.started is not None and start.origin.key_ns < self.started


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


def _takers(done: Sequence[LabelEvent]) -> dict[tuple[str, str, int], int]:
    """By instance, version and body, the last operation that took the body away."""
    found: dict[tuple[str, str, int], int] = {}
    for event in done:
        if isinstance(event, Merge | Renumber):
            labels = event.labels if isinstance(event, Merge) else (event.orig,)
            for label in labels:
                place = (event.instance, event.version, label)
                found[place] = max(found.get(place, 0), event.mutation_id)
    return found


def long_open(pending: Sequence[BodyEvent], clock: int) -> tuple[str, ...]:
    """For people: operations that began long before `clock` (ns since 1970) and whose end nobody knows."""
    return tuple(
        f"{start.action} {start.mutation_id} of {start.instance} has begun and not ended, as far as the "
        f"source tells: {start.origin}. What depends on it waits. If it goes on no more, start the source's "
        f"server again: nothing survives that, and its bodies then tell what became of it."
        for start in pending
        if start.origin.key_ns < clock - LONG_AGO
    )
