"""Which operations a destination already has, seen from its bodies.

See docs/dvid.md, "Looking backwards". Operations on one body are applied in the order of their ranks, so the
tag of a body tells how far it is: what touches it up to that rank is there. A body that is gone tells nothing
itself, but what took it away does. So the operations are walked from the end: one is there if a body that it
leaves behind has reached it, or if something later on one of its bodies is there. What took it away can lie
beyond the operations at hand. That a body is gone proves nothing then: it may never have been at the
destination, or somebody there took it away. But if its voxels are in a body that the source changed last, or
its label is known to have been given, it was there before the operations, and has had all of them up to the
one that ends it.

A record that arrives late is the exception: the tag of its body is past it though it never was applied. Its
traces show that: the labels that it merged still exist, the body that it made does not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from dvidsync_dagster.datatypes.labelmap.claims import body_key
from dvidsync_dagster.datatypes.labelmap.counter_rule import PickedBy, ids_of
from dvidsync_dagster.datatypes.labelmap.events import (
    BodyEvent,
    Cleave,
    Merge,
    Renumber,
    SetNextLabel,
    Split,
    SplitSupervoxel,
)
from dvidsync_dagster.plan.claims import Key
from dvidsync_dagster.plan.order import Ordering

Rank = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Body:
    """A body at the destination.

    Args:
        reached: the rank of the source's last operation on it; None if the last change was the destination's
            own.
    """

    reached: Rank | None


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read of the destination.

    Args:
        bodies: those that exist, by key; every body that the operations touch was asked for.
        split: supervoxels (instance, version, supervoxel) that have been split and are gone.
        gone: keys of bodies that are proven to have existed, and do not anymore.
        left: cleaves and splits (instance, version, rank) whose new body is gone and whose supervoxels are in
            bodies that the source put them into later.
        slow: how many seconds the server took to tell of a body, where that was long.
        own_from: the mutation id from which on changes without a tag are seen to be the destination's own.
        has_own: the last change of some body is the destination's own.
    """

    bodies: Mapping[Key, Body]
    split: frozenset[tuple[str, str, int]] = frozenset()
    gone: frozenset[Key] = frozenset()
    left: frozenset[tuple[str, str, Rank]] = frozenset()
    slow: Mapping[Key, float] = field(default_factory=dict)
    own_from: int | None = None
    has_own: bool = False

    def __or__(self, other: Seen) -> Seen:
        """What was read of both."""
        return Seen(
            {**self.bodies, **other.bodies},
            self.split | other.split,
            self.gone | other.gone,
            self.left | other.left,
            {**self.slow, **other.slow},
            min((each.own_from for each in (self, other) if each.own_from is not None), default=None),
            self.has_own or other.has_own,
        )


@dataclass(frozen=True, slots=True)
class BodyPresence:
    """Indexes of operations.

    Args:
        present: applied already.
        doubtful: not present, though a body that they touch has their rank or a later one: half done, torn
            by a crash of the server, or late. Look closer before repeating them.
        fresh: present, and the last on the body that they made: if the server was killed, they can be torn.
    """

    present: set[int] = field(default_factory=set)
    doubtful: set[int] = field(default_factory=set)
    fresh: set[int] = field(default_factory=set)


def find_presence(
    events: Sequence[object],
    ordering: Ordering,
    seen: Seen,
    never: Collection[int] = (),
    left_out: Collection[int] = (),
) -> BodyPresence:
    """Walk the operations from the end (see above); those that are no labelmap's are passed over.

    Args:
        never: those that are known never to have been applied: they are passed over too.
        left_out: those that an earlier run left out. People are known to have changed their bodies, and may
            have taken them away since: that a body is gone does not show that these are done.
    """
    ended: set[int] = set()
    while True:
        presence = _walk(events, ordering, seen, ended, never)
        more = _ended(events, ordering, seen, presence.present).difference(never, left_out)
        if more <= ended:
            return presence
        # What is known to have made a body, which is gone, tells of what came after it on that body.
        ended |= more


def _ended(events: Sequence[object], ordering: Ordering, seen: Seen, present: set[int]) -> set[int]:
    """Operations that were done on bodies which are gone now: on each such body all from the first moment at
    which it is known to have existed to the operation that ended it."""
    found = set()
    for key in seen.gone & ordering.chains.keys():
        label = key[-1]
        first = events[ordering.chains[key][0]]
        exists = isinstance(first, BodyEvent) and label not in _made(first)
        for index in ordering.chains[key]:
            event = events[index]
            if not isinstance(event, BodyEvent):
                continue
            if exists:
                found.add(index)
            exists = label in event.survivors and (exists or (label in _made(event) and index in present))
    return found


def _walk(
    events: Sequence[object], ordering: Ordering, seen: Seen, ended: set[int], never: Collection[int]
) -> BodyPresence:
    walk = _Walk(seen, ended)
    for index in reversed(ordering.sequence):
        event = events[index]
        if index in never:
            continue
        if isinstance(event, SetNextLabel):
            walk.pass_setting(index, event)
        elif isinstance(event, BodyEvent):
            walk.pass_body_event(index, event)
    return walk.found


@dataclass(slots=True)
class _Walk:
    """A walk over the events from the last to the first.

    Args:
        ended: events that were there before their bodies were taken away.
        later_there: bodies on which something later is present.
        remade: bodies that something later has made again.
        counting: instances in which something later took an id.
    """

    seen: Seen
    ended: set[int]
    found: BodyPresence = field(default_factory=BodyPresence)
    later_there: set[Key] = field(default_factory=set)
    remade: set[Key] = field(default_factory=set)
    counting: set[str] = field(default_factory=set)

    def pass_setting(self, index: int, event: SetNextLabel) -> None:
        """Setting the counter again would take back the ids that were given since."""
        if event.instance in self.counting:
            self.found.present.add(index)

    def pass_body_event(self, index: int, event: BodyEvent) -> None:
        keys = {label: body_key(event.instance, event.version, label) for label in event.bodies}
        is_shown = self._is_shown(index, event, keys)
        if not is_shown and not self._may_be_hidden(index, event, keys):
            return
        if self._has_traces(event, keys):
            self._is_present(index, event, keys)
        elif is_shown:
            self.found.doubtful.add(index)

    def _is_shown(self, index: int, event: BodyEvent, keys: Mapping[int, Key]) -> bool:
        """Whether one of its bodies has reached it, or something later on one of them is present."""
        # A body that the event ended and that carries a later rank has been made again since.
        reached = any(has_reached(self.seen.bodies.get(key), event.rank) for key in keys.values())
        # A body that it leaves and that is still there tells more than one that is gone: people at the
        # destination may have taken that one away.
        if index in self.ended and not any(keys[label] in self.seen.bodies for label in event.survivors):
            if isinstance(event, Merge | Renumber) and not self._has_traces(event, keys):
                # What it would have ended is there: the body that is gone was taken away before it.
                return True
            self.later_there.update(keys[label] for label in event.bodies if label not in _made(event))
        return reached or any(key in self.later_there for key in keys.values())

    def _has_traces(self, event: BodyEvent, keys: Mapping[int, Key]) -> bool:
        return _left_traces(event, keys, self.seen, self.later_there, self.remade)

    def _may_be_hidden(self, index: int, event: BodyEvent, keys: Mapping[int, Key]) -> bool:
        """Whether the destination's own edits hide the tags, so that only the traces are left."""
        survivors = (keys[label] for label in event.survivors)
        bodies = [self.seen.bodies[key] for key in survivors if key in self.seen.bodies]
        if not bodies or any(body.reached is not None for body in bodies):
            return False
        if isinstance(event, Cleave | Split):
            self.found.doubtful.add(index)
            return False
        return True

    def _is_present(self, index: int, event: BodyEvent, keys: Mapping[int, Key]) -> None:
        self.found.present.add(index)
        ids = ids_of(event)
        if ids is not None and ids.picked_by is not PickedBy.REQUEST:
            self.counting.add(event.instance)
        survivors = (self.seen.bodies.get(keys[label]) for label in event.survivors)
        if any(body is not None and body.reached == event.rank for body in survivors):
            self.found.fresh.add(index)
        self.later_there.update(keys.values())
        self.remade.update(keys[label] for label in _made(event))


def has_reached(body: Body | None, rank: Rank) -> bool:
    """Whether the source's last operation on a body has this rank or a later one. None: there is no body."""
    return body is not None and body.reached is not None and body.reached >= rank


def _left_traces(
    event: BodyEvent, keys: Mapping[int, Key], seen: Seen, later_there: set[Key], remade: set[Key]
) -> bool:
    """Whether the destination looks as it does after the operation."""

    def gone(label: int) -> bool:
        body = seen.bodies.get(keys[label])
        if body is None or keys[label] in remade:
            return True
        # Whatever changed it later has made it again.
        return body.reached is not None and body.reached > event.rank

    def made(label: int) -> bool:
        return keys[label] in seen.bodies or keys[label] in later_there

    left = (event.instance, event.version, event.rank) in seen.left

    match event:
        case Merge():
            return all(gone(label) for label in event.labels)
        case Renumber():
            return gone(event.orig)
        case Cleave():
            # A cleave of nothing makes no body: only the old one's tag tells of it.
            return made(event.new) or left or event.supervoxels == ()
        case SplitSupervoxel():
            return (event.instance, event.version, event.supervoxel) in seen.split
        case Split():
            return made(event.new) or left
    return True


def _made(event: BodyEvent) -> tuple[int, ...]:
    """The bodies that exist only since the operation."""
    match event:
        case Cleave() | Split():
            return (event.new,)
        case Renumber():
            return event.survivors
    return ()
