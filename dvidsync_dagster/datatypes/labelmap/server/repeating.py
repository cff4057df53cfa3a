"""From labelmap events to the commands that repeat them."""

from __future__ import annotations

from collections.abc import Sequence

from dvidsync_dagster.datatypes.labelmap.counter_rule import ids_of
from dvidsync_dagster.datatypes.labelmap.events import (
    BodyEvent,
    Cleave,
    LabelEvent,
    Merge,
    RaiseMaxLabel,
    Renumber,
    SetNextLabel,
    Split,
    SplitSupervoxel,
)
from dvidsync_dagster.datatypes.labelmap.server.commands import (
    CleaveBody,
    LabelCommand,
    MergeBodies,
    PassIds,
    RaiseHighest,
    RenumberBody,
    SetCounter,
    Signature,
    SplitSupervoxels,
)
from dvidsync_dagster.events.event import Event


def command_of(event: LabelEvent) -> LabelCommand:
    """The command that repeats one event."""
    return _of_body(event) if isinstance(event, BodyEvent) else _of_counter(event)


def combined(merges: Sequence[Merge]) -> MergeBodies:
    """One command for several merges, which are in their order: the target, user and tag of the last."""
    last = max(merges, key=lambda merge: merge.rank)
    return MergeBodies(
        version=last.version,
        instance=last.instance,
        signature=signature_of(last),
        target=last.target,
        labels=tuple(sorted({label for merge in merges for label in merge.labels})),
    )


def part_of(command: LabelCommand, events: Sequence[Event], places: Sequence[int]) -> LabelCommand:
    """The command that repeats some of the events that a command repeats."""
    if isinstance(command, MergeBodies):
        merges = [event for place in places if isinstance(event := events[place], Merge)]
        return combined(merges) if len(merges) > 1 else merge_of(merges[0])
    return command


def signature_of(event: BodyEvent) -> Signature:
    return Signature(event.user, event.app, event.rank)


def _of_body(event: BodyEvent) -> LabelCommand:
    version, instance, signature = event.version, event.instance, signature_of(event)
    match event:
        case Merge():
            return merge_of(event)
        case Cleave():
            return CleaveBody(
                version=version,
                instance=instance,
                signature=signature,
                orig=event.orig,
                new=event.new,
                supervoxels=event.supervoxels,
                data_ref=event.data_ref,
            )
        case Renumber():
            return RenumberBody(
                version=version, instance=instance, signature=signature, orig=event.orig, new=event.new
            )
        case SplitSupervoxel() | Split():
            return SplitSupervoxels(
                version=version,
                instance=instance,
                signature=signature,
                body=event.survivors[0],
                parts=event.parts,
                volume=event.volume,
                new=event.new if isinstance(event, Split) else None,
            )
    raise TypeError(f"no labelmap event: {event!r}")


def merge_of(merge: Merge) -> MergeBodies:
    return MergeBodies(
        version=merge.version,
        instance=merge.instance,
        signature=signature_of(merge),
        target=merge.target,
        labels=merge.labels,
    )


def _of_counter(event: LabelEvent) -> LabelCommand:
    version, instance = event.version, event.instance
    match event:
        case SetNextLabel():
            return SetCounter(
                version=version, instance=instance, next_label=event.next_label, ceiling=event.ceiling
            )
        case RaiseMaxLabel():
            return RaiseHighest(version=version, instance=instance, max_label=event.max_label)
    ids = ids_of(event)
    if ids is None:
        raise TypeError(f"no labelmap event: {event!r}")
    return PassIds(version=version, instance=instance, ids=ids)
