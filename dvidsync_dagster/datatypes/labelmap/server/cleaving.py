"""Cleaving a body: the server picks the label of the new one, and the source's must come out."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from dvidsync_dagster.datatypes.labelmap.blobs import cleaved_supervoxels
from dvidsync_dagster.datatypes.labelmap.server.bodies import Bodies, signed
from dvidsync_dagster.datatypes.labelmap.server.commands import CleaveBody, Fresh, LabelCommand
from dvidsync_dagster.errors import RequestRefused, ServerFailed
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.plan.outcome import DONE, PRESENT, Outcome, refused, refused_by


def cleave(bodies: Bodies, command: CleaveBody, events: Sequence[Event], *, doubtful: bool) -> Outcome:
    """Cleave. Whoever calls holds the counter's lock."""
    supervoxels = cleaved_supervoxels(command, bodies.source)
    if isinstance(command.new, Fresh):
        return _cleave_fresh(bodies, command, command.new, supervoxels)
    return cleave_off(
        bodies,
        command,
        command.orig,
        command.new,
        supervoxels,
        events,
        doubtful=doubtful,
        avoid=command.avoid,
    )


def cleave_off(
    bodies: Bodies,
    command: LabelCommand,
    orig: int,
    new: int,
    supervoxels: tuple[int, ...],
    events: Sequence[Event],
    *,
    doubtful: bool,
    avoid: Collection[int] = (),
) -> Outcome:
    """Move supervoxels from one body to a new one with a label of the source's."""
    if doubtful:
        outcome = _finish(bodies, command, orig, new, supervoxels)
        if outcome is not None:
            return outcome
    counter = bodies.counter
    counter.prepare(command.version, new, avoid)
    # Where ids are shared, an id that is burned makes no difference.
    if counter.next_label != new and not counter.shared:
        # Its id is gone already, perhaps by an earlier try: one that is refused would burn another.
        elsewhere = _elsewhere(bodies, command.version, orig, supervoxels)
        if elsewhere is not None:
            return PRESENT if bodies.is_present(events) else refused(elsewhere)
    try:
        label = bodies.destination.cleave(command.version, orig, supervoxels, **signed(command))
    except RequestRefused as refusal:
        counter.read_again(command.version)
        return bodies.refused(events, refusal)
    if label != new and supervoxels and bodies.made(command, label) is None:
        raise ServerFailed(f"POST cleave/{orig}", f"answered with body {label}, which is another one")
    counter.took(label)
    # Where nothing was cleaved there is no body to rename.
    if label == new or not supervoxels:
        return DONE
    return bodies.rename(command, new, label)


def _cleave_fresh(bodies: Bodies, command: CleaveBody, new: Fresh, supervoxels: tuple[int, ...]) -> Outcome:
    """Whatever free label the server picks will do."""
    bodies.counter.prepare_free(command.version, command.avoid)
    try:
        label = bodies.destination.cleave(command.version, command.orig, supervoxels, **signed(command))
    except RequestRefused as refusal:
        bodies.counter.read_again(command.version)
        return refused_by(refusal)
    bodies.counter.took(label)
    bodies.gave(new, label)
    return DONE


def _elsewhere(bodies: Bodies, version: str, orig: int, supervoxels: tuple[int, ...]) -> str | None:
    """Why a cleave would be refused: a supervoxel that is in another body."""
    homes = bodies.destination.mapping(version, supervoxels)
    for supervoxel, body in zip(supervoxels, homes, strict=True):
        if body != orig:
            where = f"which is in body {body}, not in {orig}" if body else "which does not exist"
            return f"cannot cleave supervoxel {supervoxel}, {where}"
    return None


def _finish(
    bodies: Bodies, command: LabelCommand, orig: int, new: int, supervoxels: tuple[int, ...]
) -> Outcome | None:
    """What an interrupted run or a killed server left of a cleave; None if there is nothing of it."""
    version = command.version
    homes = set(bodies.destination.mapping(version, supervoxels))
    index = bodies.destination.supervoxels(version, new)
    if homes == {new} and index is not None:
        return PRESENT
    if homes == {orig}:
        got = new if index is not None else _last_label(bodies, command, orig)
        if got is not None and mend_cleave(bodies, version, orig, got, supervoxels):
            return DONE if got == new else bodies.rename(command, new, got)
    elif len(homes) == 1 and index is None:
        (body,) = homes
        # A renumber that a killed server left torn has changed the mapping only.
        got = _last_label(bodies, command, orig) if body == new else body
        if got is not None and got not in (0, orig) and bodies.made(command, got) is not None:
            return bodies.rename(command, new, got)
    return None


def _last_label(bodies: Bodies, command: LabelCommand, orig: int) -> int | None:
    """The label that the server gave last, if it was for this command."""
    return bodies.counter.given_last(command.version, command.signature.tagged_app, orig)


def mend_cleave(bodies: Bodies, version: str, orig: int, new: int, supervoxels: tuple[int, ...]) -> bool:
    """Both indices can be new and the mapping old; True if it was so. Posting the cleave again would answer
    200 and map the supervoxels to a further label with an empty index. See docs/dvid.md, "Torn
    operations"."""
    if set(bodies.destination.mapping(version, supervoxels)) != {orig}:
        return False
    index = bodies.destination.supervoxels(version, new)
    if index is None or not set(supervoxels) <= set(index):
        return False
    bodies.destination.map_supervoxels(version, {new: supervoxels, 0: [new]})
    bodies.tell_of_torn()
    return True
