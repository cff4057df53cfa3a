"""Merging and renumbering bodies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dvidsync_dagster.datatypes.labelmap.events import Merge
from dvidsync_dagster.datatypes.labelmap.server.bodies import Bodies, signed
from dvidsync_dagster.datatypes.labelmap.server.commands import MergeBodies, RenumberBody
from dvidsync_dagster.datatypes.labelmap.server.repeating import merge_of
from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.plan.outcome import DEPENDS, DONE, PRESENT, Outcome, Refusal, refused_by
from dvidsync_dagster.refusal_reason import RefusalReason


def merge(bodies: Bodies, command: MergeBodies, events: Sequence[Event]) -> Outcome:
    """Merge. What a killed server left of it is finished."""
    target, labels = bodies.label(command.target), [bodies.label(label) for label in command.labels]
    try:
        bodies.destination.merge(command.version, target, labels, **signed(command))
        return DONE
    except RequestRefused as refusal:
        if len(events) > 1:
            return _one_by_one(bodies, events)
        if bodies.is_present(events):
            return PRESENT
        done = bodies.made(command, target) is not None
        done |= refusal.reason is RefusalReason.ALREADY_IN_INDEX
        if done and _drop_merged_indices(bodies, command.version, target, labels):
            return DONE
        return refused_by(refusal)


def _one_by_one(bodies: Bodies, events: Sequence[Event]) -> Outcome:
    """A command that repeats several merges is refused whole if one label is: take it apart."""
    present = 0
    refusals: list[Refusal] = []
    behind: set[int] = set()
    for position, event in enumerate(events):
        assert isinstance(event, Merge)
        own = set(event.bodies)
        if not behind.isdisjoint(own):
            refusals.append(Refusal(position, DEPENDS))
            behind |= own
            continue
        outcome = merge(bodies, merge_of(event), [event])
        present += outcome.present
        refusals += [replace(refusal, part=position) for refusal in outcome.refusals]
        if outcome.refusals:
            behind |= own
    return Outcome(present, tuple(refusals))


def _drop_merged_indices(bodies: Bodies, version: str, target: int, labels: Sequence[int]) -> bool:
    """A server that was killed in mid-merge can keep indices of what it merged; True if it was so. See
    docs/dvid.md, "Torn operations"."""
    merged = set(bodies.destination.supervoxels(version, target) or ())
    found = {label: bodies.destination.supervoxels(version, label) for label in labels}
    kept = [label for label, parts in found.items() if parts is not None and merged.issuperset(parts)]
    for label in kept:
        bodies.destination.delete_index(version, label)
    return bool(kept)


def renumber(bodies: Bodies, command: RenumberBody, events: Sequence[Event], *, doubtful: bool) -> Outcome:
    """Renumber. What a killed server left of it is finished."""
    new, orig = bodies.label(command.new), bodies.label(command.orig)
    try:
        bodies.destination.renumber(command.version, new, orig, **signed(command))
    except RequestRefused as refusal:
        if bodies.is_present(events):
            return PRESENT
        exists = doubtful and refusal.reason is RefusalReason.LABEL_EXISTS
        finished = _finished(bodies, command, new, orig) if exists else None
        return finished or refused_by(refusal)
    with bodies.counter.lock:
        bodies.counter.passed(new)
    return DONE


def _finished(bodies: Bodies, command: RenumberBody, new: int, orig: int) -> Outcome | None:
    """A renumber whose new body is there already, by this command; None if it is not."""
    made = bodies.made(command, new)
    if made is None:
        return None
    old = bodies.destination.last_mod(command.version, orig)
    if old is None or old.mutation_id > made.mutation_id:
        # The old label has been given to another body since.
        return PRESENT
    # A killed server wrote the new index and did not delete the old one.
    bodies.destination.delete_index(command.version, orig)
    return DONE
