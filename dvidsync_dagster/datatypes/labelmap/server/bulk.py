"""Many operations at once: the indices of their bodies are read, changed and written back in bulk.

What the operations make of the bodies is computed from the log and from the bodies here (`net_change`), so
nothing depends on how far the source is by now, and what cannot be done is what DVID would refuse. The
mapping is written before the indices: an interrupted run leaves bodies whose indices, tags included, are
still those before the operations, and which are made again, or those after them. The bodies of operations
that belong together are written by one request. DVID takes one request for the mapping at a time; meanwhile
the indices of the same bodies are computed, and those of the ones before are written.

Splits, which change voxels, are not among them: they are repeated by requests, between what comes before
and after them on their bodies.

See docs/dvid.md, "Copying states".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import replace
from itertools import pairwise

from dvidsync_dagster.datatypes.labelmap.blobs import cleaved_supervoxels
from dvidsync_dagster.datatypes.labelmap.changed_indices import (
    Tied,
    changed_indices,
    grouped,
    supervoxels_of,
    tied_bodies,
)
from dvidsync_dagster.datatypes.labelmap.counter_rule import ids_of
from dvidsync_dagster.datatypes.labelmap.events import BodyEvent, Cleave, Renumber
from dvidsync_dagster.datatypes.labelmap.net_change import Done, NetChange, do_all
from dvidsync_dagster.datatypes.labelmap.server.bodies import Bodies
from dvidsync_dagster.datatypes.labelmap.server.commands import MakeBodies
from dvidsync_dagster.datatypes.labelmap.server.held_indices import (
    INDICES_AT_ONCE,
    read_some,
    tied_places,
)
from dvidsync_dagster.datatypes.labelmap.server.tags import tagged
from dvidsync_dagster.dvid.proto.labelmap_pb2 import LabelIndex
from dvidsync_dagster.dvid.refusal import reason_of
from dvidsync_dagster.dvid.times import index_time
from dvidsync_dagster.errors import ServerFailed
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.plan.outcome import Outcome, Refusal

REQUEST_BYTES = 8 << 20
"""Indices in one request. What a run that died has asked for is done soon."""

BODIES_AT_ONCE = 250
"""Bodies to which one request maps supervoxels: DVID syncs a record to its disk for each."""

_READ_AGAIN = 5


def make_bodies(bodies: Bodies, command: MakeBodies, events: Sequence[Event]) -> Outcome:
    """Do what a command says. Whoever calls holds the counter's lock."""
    wanted = [whole(event, bodies) for event in events if isinstance(event, BodyEvent)]
    left = tied_places(wanted)
    present = 0
    refusals: list[Refusal] = []
    while left:
        places, outcome = _make_some(bodies, command, wanted, left)
        if outcome.present and not command.looked:
            return outcome
        present += outcome.present
        refusals += [replace(each, part=places[each.part]) for each in outcome.refusals]
    return Outcome(present, tuple(sorted(refusals, key=lambda refusal: refusal.part)))


def _make_some(
    bodies: Bodies, command: MakeBodies, wanted: Sequence[BodyEvent], left: list[list[int]]
) -> tuple[list[int], Outcome]:
    """The first groups of the operations that are left, as many as fit into memory: their positions, and what
    became of them. They are left no more."""
    for _ in range(_READ_AGAIN):
        changes = bodies.changes()
        count, before = read_some(bodies, command.version, wanted, left)
        places = sorted(place for group in left[:count] for place in group)
        some = [wanted[place] for place in places]
        net = _bodies_of(before, bodies, command.version, some)
        done = do_all(net, some)
        present = [place for place in done.refused if bodies.is_present([some[place]])]
        if present and not command.looked:
            # Who did it may have done more. Look before anything is written.
            return places, Outcome(present=len(present))
        if bodies.changes() == changes:
            _write(bodies, command.version, before, net, [some[place] for place in done.done])
            _count(bodies, command.version, some, net)
            del left[:count]
            return places, _outcome(done, present)
    raise ServerFailed(
        f"POST {bodies.destination.name}/indices",
        f"was put off: others work on this server while bodies of version {command.version} are made in "
        f"bulk, time and again. Run again when they are at rest, or set `apply: replay`",
    )


def whole(event: BodyEvent, bodies: Bodies) -> BodyEvent:
    """With the supervoxels that a blob has."""
    if isinstance(event, Cleave) and event.supervoxels is None:
        return replace(event, supervoxels=cleaved_supervoxels(event, bodies.source))
    return event


def _bodies_of(
    before: Mapping[int, LabelIndex], bodies: Bodies, version: str, events: Sequence[BodyEvent]
) -> NetChange:
    """The bodies before operations, and what the mapping knows of other ids that they name."""
    parts = {label: supervoxels_of(index) for label, index in before.items()}
    _check_apart(parts, version, bodies)
    return net_change(parts, bodies, version, events)


def net_change(
    parts: dict[int, set[int]], bodies: Bodies, version: str, events: Sequence[BodyEvent]
) -> NetChange:
    """Bodies, by their supervoxels, before operations that touch no others."""
    named = {each for event in events if isinstance(event, Cleave) for each in event.supervoxels or ()}
    others = sorted(named.difference(*parts.values()))
    mapped = bodies.destination.mapping(version, others) if others else []
    targets = sorted({event.new for event in events if isinstance(event, Renumber)})
    known = bodies.destination.known(version, targets) if targets else []
    taken = {label for label, is_known in zip(targets, known, strict=True) if is_known}
    return NetChange(parts, dict(zip(others, mapped, strict=True)), taken)


def _check_apart(parts: dict[int, set[int]], version: str, bodies: Bodies) -> None:
    """Raises ServerFailed if a supervoxel is in two bodies."""
    if sum(map(len, parts.values())) == len(set().union(*parts.values())):
        return
    seen: dict[int, int] = {}
    for label, supervoxels in sorted(parts.items()):
        for supervoxel in supervoxels:
            other = seen.setdefault(supervoxel, label)
            if other != label:
                raise ServerFailed(
                    f"GET {bodies.destination.name}/indices",
                    f"shows supervoxel {supervoxel} in bodies {other} and {label} of version {version}: the "
                    f"server was killed while it wrote. Compare with `dvidsync verify`, mend with "
                    f"`dvidsync repair --apply`, and set `apply: replay` until that is done",
                )


def _write(
    bodies: Bodies,
    version: str,
    before: Mapping[int, LabelIndex],
    net: NetChange,
    events: Sequence[BodyEvent],
) -> None:
    """Whatever ends it, nothing is under way anymore then."""
    under_way: list[Future[None]] = []

    def requests(some: Iterable[Tied]) -> list[list[LabelIndex]]:
        return list(_requests(changed_indices(each.bodies, before, net, _sign) for each in some))

    parts: list[list[Tied]] = [*_together(tied_bodies(net, events)), []]
    try:
        indices = bodies.pool.submit(requests, parts[0])
        for some, following in pairwise(parts):
            # In this thread, which does nothing else: the mapping takes longest.
            _map(bodies, version, some)
            mapped = indices.result()
            indices = bodies.pool.submit(requests, following)
            under_way += [
                bodies.pool.submit(bodies.destination.put_indices, version, request) for request in mapped
            ]
            _raise_what_failed(each for each in under_way if each.done())
    finally:
        wait(under_way)
    _raise_what_failed(under_way)


def _raise_what_failed(done: Iterable[Future[None]]) -> None:
    for each in done:
        each.result()


def _together(tied: Iterable[Tied]) -> Iterator[list[Tied]]:
    """As many as are written together; none is divided."""
    some: list[Tied] = []
    targets = indices = 0
    for each in tied:
        more = len(set(each.mapping.values()))
        full = targets + more > BODIES_AT_ONCE or indices + len(each.bodies) > INDICES_AT_ONCE
        if some and full:
            yield some
            some, targets, indices = [], 0, 0
        some.append(each)
        targets += more
        indices += len(each.bodies)
    if some:
        yield some


def _map(bodies: Bodies, version: str, some: Iterable[Tied]) -> None:
    moved = list(grouped({key: body for each in some for key, body in each.mapping.items()}).items())
    for start in range(0, len(moved), BODIES_AT_ONCE):
        bodies.destination.map_supervoxels(version, dict(moved[start : start + BODIES_AT_ONCE]))


def _sign(index: LabelIndex, event: BodyEvent) -> None:
    """As the source has it, and with the tag. The time is that of the source's announcement."""
    index.last_mutid = event.mutation_id
    index.last_mod_time = index_time((event.started_ns or event.origin.key_ns) // 1_000_000_000)
    index.last_mod_user = event.user
    index.last_mod_app = tagged(event.app, event.rank)


def _requests(groups: Iterable[list[LabelIndex]]) -> Iterator[list[LabelIndex]]:
    """As many groups as fit into one request; none is divided."""
    request: list[LabelIndex] = []
    size = 0
    for group in groups:
        more = sum(index.ByteSize() for index in group)
        if request and size + more > REQUEST_BYTES:
            yield request
            request, size = [], 0
        request += group
        size += more
    if request:
        yield request


def _count(bodies: Bodies, version: str, events: Sequence[BodyEvent], net: NetChange) -> None:
    """Where the counter stands: past the labels that were written, and to be moved past all ids taken."""
    labels = [label for label in net.touched if label in net.bodies]
    if labels:
        bodies.counter.passed(min(labels), max(labels))
    for event in events:
        ids = ids_of(event)
        if ids is not None:
            bodies.counter.pass_ids(version, ids)


def _outcome(done: Done, present: Sequence[int]) -> Outcome:
    refusals = (
        Refusal(place, found, reason_of(400, found))
        for place, found in sorted(done.refused.items())
        if place not in present
    )
    return Outcome(len(present), tuple(refusals))
