"""Reading a destination's bodies: how far is each?"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import cache

from dvidsync_dagster.datatypes.labelmap.claims import body_key, claims_of
from dvidsync_dagster.datatypes.labelmap.counter_rule import CounterState
from dvidsync_dagster.datatypes.labelmap.events import (
    BodyEvent,
    Cleave,
    LabelEvent,
    Split,
    SplitSupervoxel,
)
from dvidsync_dagster.datatypes.labelmap.server.copied_folder import first_own_number
from dvidsync_dagster.datatypes.labelmap.server.presence import Body, Seen, find_presence
from dvidsync_dagster.datatypes.labelmap.server.tags import rank_of
from dvidsync_dagster.dvid.labelmap import Labelmap, LastMod
from dvidsync_dagster.dvid.times import line_time
from dvidsync_dagster.errors import RequestRefused, ServerFailed
from dvidsync_dagster.plan.claims import Key
from dvidsync_dagster.plan.order import order
from dvidsync_dagster.refusal_reason import NOT_HERE

SLOW_SECONDS = 0.05
"""A look at a body of usual size is quicker."""


@dataclass(frozen=True, slots=True)
class Contact:
    """How the destination was found when dvidsync first met it.

    Args:
        next_mutation_id: the destination's own at that time, or the first that people are seen to have got
            there before. An untagged change below it came with the copy and is the source's; one above is
            the destination's own.
        era: the key at which the source last began to count its ids again, or 0.
    """

    next_mutation_id: int
    era: int = 0


def body_of(last_mod: LastMod, contact: Contact) -> Body:
    """What a body's last change says."""
    rank = rank_of(last_mod.app)
    if rank is not None:
        return Body(reached=rank)
    if last_mod.mutation_id >= contact.next_mutation_id:
        return Body(reached=None)
    era = contact.era if contact.era and line_time(last_mod.time) >= contact.era else 0
    return Body(reached=(era, last_mod.mutation_id))


def look_at_bodies(
    events: Sequence[LabelEvent],
    labelmap: Labelmap,
    pool: Executor,
    contact: Contact,
    *,
    alone: bool = False,
    copied: Sequence[LabelEvent] = (),
) -> Seen:
    """Ask for every body that the events of one instance touch, and for every supervoxel they split.

    Cost: one small request per body. A version that the destination does not have yet has no bodies. A body
    is gone if the destination says so twice: that it has no such body, and no voxels of it.

    Args:
        alone: only what the bodies that exist tell, not what became of those that are gone.
        copied: those of the events that happened, if the instance came with the source's folder, so that both
            give ids in one range.
    """
    bodies = {
        (event.version, label)
        for event in events
        if isinstance(event, BodyEvent)
        for label in event.bodies
        if label  # of the background DVID tells nothing
    }

    there = {version for version in {version for version, _ in bodies} if _has(labelmap, version)}
    wanted = sorted((version, label) for version, label in bodies if version in there)
    answers, slow = _asked(labelmap, wanted, pool)
    tagged = [answer.mutation_id for answer in answers if answer and _is_repeated(answer)]
    contact = replace(contact, next_mutation_id=min((contact.next_mutation_id, *tagged)))
    missing = [where for where, answer in zip(wanted, answers, strict=True) if answer is None]
    _check_missing(labelmap, missing)
    homes = {} if alone else _bodies(labelmap, missing)
    taken_by = {
        (version, home): labelmap.last_mod(version, home)
        for version, body_of_each in homes.items()
        for home in sorted(set(body_of_each.values()) - {0})
    }
    lasts = {**dict(zip(wanted, answers, strict=True)), **taken_by}
    own_from = _own_from(copied, lasts, labelmap, contact) if copied else None
    if own_from is not None:
        contact = replace(contact, next_mutation_id=own_from)
    found = {
        body_key(labelmap.name, *where): body_of(answer, contact)
        for where, answer in zip(wanted, answers, strict=True)
        if answer is not None
    }
    gone = frozenset(body_key(labelmap.name, version, label) for version, label in missing)
    existed = _existed(labelmap, homes, taken_by, contact)
    left = _left(events, labelmap, gone, contact)
    has_own = any(body_of(last, contact).reached is None for last in lasts.values() if last is not None)
    return Seen(found, _gone(events, labelmap), existed, left, slow, own_from, has_own)


def _asked(
    labelmap: Labelmap, wanted: Sequence[tuple[str, int]], pool: Executor
) -> tuple[list[LastMod | None], dict[Key, float]]:
    """The last change of each body, None if there is none; and by key the seconds that slow answers took."""
    slow: dict[Key, float] = {}

    def ask(where: tuple[str, int]) -> LastMod | None:
        began = time.monotonic()
        try:
            return labelmap.last_mod(*where)
        finally:
            took = time.monotonic() - began
            if took > SLOW_SECONDS:
                slow[body_key(labelmap.name, *where)] = took

    return list(pool.map(ask, wanted)), slow


def _own_from(
    events: Sequence[LabelEvent],
    lasts: Mapping[tuple[str, int], LastMod | None],
    labelmap: Labelmap,
    contact: Contact,
) -> int | None:
    def homes(version: str, supervoxels: Sequence[int]) -> Mapping[int, int]:
        return _bodies(labelmap, [(version, each) for each in supervoxels]).get(version, {})

    return first_own_number(events, lasts, homes, era=contact.era, below=contact.next_mutation_id)


def _is_repeated(last: LastMod) -> bool:
    """Whether a command repeated the source's operation: then the change has one of the destination's own
    numbers, which are above all that came with it. What was made in bulk has the source's number."""
    rank = rank_of(last.app)
    return rank is not None and rank[1] != last.mutation_id


def _has(labelmap: Labelmap, version: str) -> bool:
    try:
        labelmap.mapping(version, [1])
    except RequestRefused as refusal:
        if refusal.reason in NOT_HERE:
            return False
        raise
    return True


def _check_missing(labelmap: Labelmap, missing: Sequence[tuple[str, int]]) -> None:
    """Raises ServerFailed if one of them has voxels: the answer that it is missing has no text of DVID's, and
    can be anybody's."""
    wanted: dict[str, list[int]] = {}
    for version, label in missing:
        wanted.setdefault(version, []).append(label)
    for version, labels in wanted.items():
        for label, size in zip(labels, labelmap.sizes(version, labels), strict=True):
            if size:
                raise ServerFailed(
                    f"GET lastmod/{label}",
                    f"answered that there is no such body, but it has {size} voxels in version {version}: "
                    f"does something before the server answer in its place?",
                )


def _existed(
    labelmap: Labelmap,
    homes: Mapping[str, Mapping[int, int]],
    taken_by: Mapping[tuple[str, int], LastMod | None],
    contact: Contact,
) -> frozenset[Key]:
    """Those of the bodies that are gone which the source took away, as far as the destination proves it.

    The supervoxel of a body's name lies in another body, which the source changed last. Or there is none of
    that name, but the server knows the label: a cleave or a renumber gave it, or the supervoxel was split.
    What the destination never had is in neither.

    Args:
        homes: by version and label of a body that is gone, the body in which its supervoxel is; 0 for none.
        taken_by: the last changes of these.
    """
    found = set()
    for version, own in homes.items():
        given = labelmap.retired(version) if 0 in own.values() else frozenset()
        # A body that is not there gets it yet: a run that made it in bulk was killed.
        sources = {
            home
            for home in set(own.values()) - {0}
            if (last := taken_by[version, home]) is None or body_of(last, contact).reached is not None
        }
        found |= {
            body_key(labelmap.name, version, label)
            for label, home in own.items()
            if home in sources or (home == 0 and label in given)
        }
    return frozenset(found)


def _left(
    events: Sequence[LabelEvent], labelmap: Labelmap, gone: frozenset[Key], contact: Contact
) -> frozenset[tuple[str, str, tuple[int, int]]]:
    """The cleaves and splits that were done, and whose new body something later took away: its parts are in
    other bodies now, or were split."""
    cleaved = [
        (event, *_cleaved(event))
        for event in events
        if isinstance(event, Cleave | Split) and body_key(labelmap.name, event.version, event.new) in gone
    ]
    bodies = _bodies(labelmap, [(event.version, part) for event, _, parts in cleaved for part in parts])
    retired = cache(labelmap.retired)
    found = set()
    for event, old, parts in cleaved:
        # Supervoxels that only a blob at the source names are looked for when the cleave is repeated.
        if not parts:
            continue
        homes = {bodies[event.version][part] for part in parts} - {0}
        if homes == {old}:
            taken = _were_brought_back(event, labelmap, old, retired(event.version), contact)
        else:
            taken = not homes or _is_later(event, labelmap, min(homes - {old}), contact)
        if taken:
            found.add((labelmap.name, event.version, event.rank))
    return frozenset(found)


def _cleaved(event: Cleave | Split) -> tuple[int, tuple[int, ...]]:
    """The old body, and the supervoxels that went to the new one; none if only a blob names them."""
    if isinstance(event, Cleave):
        return event.orig, event.supervoxels or ()
    return event.target, tuple(part for _, part, _ in event.parts)


def _were_brought_back(
    event: Cleave | Split, labelmap: Labelmap, old: int, retired: frozenset[int], contact: Contact
) -> bool:
    """Whether parts that are in the old body had left it.

    The server's mapping still knows the new body's label (`retired`). And what brought them back left its own
    tag: without it they have yet to be cleaved. That the label was given tells nothing then: it may have been
    another's until that was renamed, or the destination gave it itself.
    """
    last = labelmap.last_mod(event.version, old)
    reached = None if last is None else body_of(last, contact).reached
    return (reached is None or reached > event.rank) and event.new in retired


def _is_later(event: Cleave | Split, labelmap: Labelmap, home: int, contact: Contact) -> bool:
    """Whether something later put the parts into a third body. With the tag of the cleave itself it is the
    new body, which is still to be renamed."""
    last = labelmap.last_mod(event.version, home)
    if last is None:
        # Where a run that made bodies in bulk was killed, only the mapping names the later body.
        return True
    reached = body_of(last, contact).reached
    return reached is not None and reached != event.rank


def _gone(events: Sequence[LabelEvent], labelmap: Labelmap) -> frozenset[tuple[str, str, int]]:
    """The supervoxels among those that the events split which are not there anymore."""
    split = []
    for event in events:
        if isinstance(event, SplitSupervoxel):
            split.append((event.version, event.supervoxel))
        elif isinstance(event, Split):
            split += [(event.version, part) for part, _, _ in event.parts]
    return frozenset(
        (labelmap.name, version, supervoxel)
        for version, bodies in _bodies(labelmap, split).items()
        for supervoxel, body in bodies.items()
        if body == 0
    )


def _bodies(labelmap: Labelmap, supervoxels: Sequence[tuple[str, int]]) -> dict[str, dict[int, int]]:
    """By version and supervoxel its body, 0 for none. A version that is not there is left out."""
    wanted: dict[str, list[int]] = {}
    for version, supervoxel in dict.fromkeys(supervoxels):
        wanted.setdefault(version, []).append(supervoxel)
    found = {}
    for version, parts in wanted.items():
        try:
            found[version] = dict(zip(parts, labelmap.mapping(version, parts), strict=True))
        except RequestRefused as refusal:
            if refusal.reason not in NOT_HERE:
                raise
    return found


def is_present(event: BodyEvent, labelmap: Labelmap, pool: Executor, contact: Contact) -> bool:
    """Whether one operation has been applied, as far as its own bodies tell."""
    # One operation alone cannot tell whether its bodies were taken away by the source or by somebody here.
    seen = look_at_bodies([event], labelmap, pool, contact, alone=True)
    alone = order(claims_of([event], lambda _: CounterState(next_label=0, was_set=True)))
    return 0 in find_presence([event], alone, seen).present
