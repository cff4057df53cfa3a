"""What a sequence of operations makes of bodies, all in all. Pure.

Bodies are sets of supervoxels. Each operation is judged as DVID would judge it in its turn; what cannot be
done is left out with all that depends on it, and the rest goes on. So the outcome is that of one request for
each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dvidsync_dagster.datatypes.labelmap.events import (
    BodyEvent,
    Cleave,
    Merge,
    Renumber,
)
from dvidsync_dagster.plan.outcome import DEPENDS


class CannotBeDone(Exception):
    """Why DVID would refuse an operation."""


@dataclass
class NetChange:
    """Bodies while operations change them.

    Args:
        bodies: those that exist before among all that the operations touch, with their supervoxels.
        mapped: where the mapping has ids that are in none of these bodies: a supervoxel without voxels can
            be mapped to a body. 0 for one that was split, or retired.
        taken: labels that the mapping knows already.
    """

    bodies: dict[int, set[int]]
    mapped: Mapping[int, int] = field(default_factory=dict)
    taken: Collection[int] = frozenset()
    last: dict[int, BodyEvent] = field(default_factory=dict)
    """The last operation on each body that exists and was touched."""
    mapping: dict[int, int] = field(default_factory=dict)
    """The body of each supervoxel that was moved; 0 for an id that is a supervoxel no more."""
    touched: set[int] = field(default_factory=set)
    """All bodies that an operation touched, those that are gone included."""

    def do(self, event: BodyEvent) -> None:
        """Raises CannotBeDone; nothing has changed then."""
        match event:
            case Merge():
                self._merge(event)
            case Cleave():
                self._cleave(event)
            case Renumber():
                self._renumber(event)
            case _:
                raise TypeError(f"changes more than bodies: {event!r}")
        self.touched.update(event.bodies)
        for label in event.survivors:
            if label in self.bodies:
                self.last[label] = event

    def _merge(self, event: Merge) -> None:
        labels = tuple(dict.fromkeys(event.labels))
        for label in labels:
            if not self.bodies.get(label):
                raise CannotBeDone(f"can't merge non-existent label {label}")
        if event.target not in self.bodies:
            raise CannotBeDone(f"can't merge into a non-existent label {event.target}")
        if event.target in labels:
            raise CannotBeDone(f"label {event.target} cannot be merged into itself")
        for label in labels:
            supervoxels = self._take_away(label)
            self.bodies[event.target] |= supervoxels
            self.mapping.update(dict.fromkeys(supervoxels, event.target))

    def _renumber(self, event: Renumber) -> None:
        if event.new in self.bodies:
            raise CannotBeDone(f"target label for renumber ({event.new}) already exists in mapping")
        if event.orig not in self.bodies:
            raise CannotBeDone(f"can't renumber non-existent body with label {event.orig}")
        if event.new not in self.taken:
            self.mapping.setdefault(event.new, 0)
        supervoxels = self._take_away(event.orig)
        self.bodies[event.new] = supervoxels
        self.mapping.update(dict.fromkeys(supervoxels, event.new))

    def _cleave(self, event: Cleave) -> None:
        supervoxels = event.supervoxels or ()
        leaving = self._check_cleave(event.orig, event.new, supervoxels)
        self.bodies[event.orig] -= leaving
        if leaving:
            self.bodies[event.new] = leaving
        self.mapping.update(dict.fromkeys(supervoxels, event.new))
        if supervoxels:
            self.mapping[event.new] = 0

    def _check_cleave(self, orig: int, new: int, supervoxels: Iterable[int]) -> set[int]:
        if orig not in self.bodies:
            raise CannotBeDone(f"cannot cleave non-existent label {orig}")
        if new in self.bodies:
            raise CannotBeDone(f"the new body cannot get its label {new}, which another body has")
        body, leaving = self.bodies[orig], set()
        for supervoxel in supervoxels:
            if supervoxel in body:
                leaving.add(supervoxel)
            elif self._home(supervoxel) != orig:
                raise CannotBeDone(
                    f"cannot cleave supervoxel {supervoxel}, which does not exist in label {orig}"
                )
        if len(leaving) == len(body):
            raise CannotBeDone(f"cannot cleave all supervoxels from the label {orig}")
        return leaving

    def _home(self, supervoxel: int) -> int:
        """Where the mapping has it, if it is in none of the bodies."""
        return self.mapping.get(supervoxel, self.mapped.get(supervoxel, 0))

    def _take_away(self, label: int) -> set[int]:
        self.last.pop(label, None)
        return self.bodies.pop(label)


@dataclass(frozen=True, slots=True)
class Done:
    """What became of operations, by position: those that are done, and why others are not."""

    done: list[int]
    refused: dict[int, str]


def do_all(net: NetChange, events: Sequence[BodyEvent]) -> Done:
    """Do operations in their order.

    One that cannot be done is tried once more after those that the source may have done first. What then
    cannot be done is refused, and nothing on its bodies is done after it.
    """
    overtaking = _Overtaking(events)
    done: list[int] = []
    refused: dict[int, str] = {}
    waiting: dict[int, list[int]] = {}
    stopped: set[int] = set()

    def attempt(place: int, *, again: bool) -> None:
        event = events[place]
        if not stopped.isdisjoint(event.bodies):
            stopped.update(event.bodies)
            refused[place] = DEPENDS
            return
        try:
            net.do(event)
            done.append(place)
        except CannotBeDone as why:
            later = () if again else tuple(overtaking(place))
            if later:
                waiting.setdefault(max(later), []).append(place)
            else:
                refused[place] = str(why)
                stopped.update(event.bodies)

    for place in range(len(events)):
        attempt(place, again=False)
        for earlier in waiting.pop(place, ()):
            attempt(earlier, again=True)
    return Done(done, refused)


class _Overtaking:
    """Operations on a body of another one, after it, which began before that one had ended."""

    def __init__(self, events: Sequence[BodyEvent]) -> None:
        self._events = events
        self._on: dict[int, list[int]] = {}
        for place, event in enumerate(events):
            for label in event.bodies:
                self._on.setdefault(label, []).append(place)

    def __call__(self, place: int) -> Iterator[int]:
        ended = self._events[place].origin.key_ns
        for label in self._events[place].bodies:
            for later in self._on[label]:
                if later > place and 0 < self._events[later].started_ns < ended:
                    yield later
