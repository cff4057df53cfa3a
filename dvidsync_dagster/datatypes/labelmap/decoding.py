"""What a labelmap instance announces in Kafka, read into typed events.

An operation is announced when it starts and again, as ``…-complete``, when it is done. Only the second means
that it happened (docs/dvid.md, "Start and completion"). The field names are DVID's (see the table in its
documentation of Kafka mutations, corrected by what a running server sends).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from typing import Any

from dvidsync_dagster.datatypes.labelmap.events import (
    BodyEvent,
    Cleave,
    CounterEvent,
    Merge,
    RaiseMaxLabel,
    Renumber,
    ReserveLabels,
    SetNextLabel,
    Split,
    SplitSupervoxel,
)
from dvidsync_dagster.errors import UndecodableRecord
from dvidsync_dagster.events.event import Announcement
from dvidsync_dagster.events.message import Message

_COMPLETE = "-complete"
_LABEL_DIGITS = 20


def decode(message: Message, instance: str) -> Announcement | None:
    """The event in a labelmap's message; None if its action is none that this module knows.

    Raises:
        UndecodableRecord: a known action with a field that is missing or wrong.
    """
    action = message.action
    done = action.endswith(_COMPLETE)
    read = _BODY_EVENTS.get(action.removesuffix(_COMPLETE))
    if read is not None:
        common: dict[str, Any] = {
            "origin": message.origin,
            "instance": instance,
            "version": message.version,
            "mutation_id": message.count("MutationID"),
            "user": message.text("User", ""),
            "app": message.text("App", ""),
        }
        return Announcement(read(message, common, done), done)
    counter = _COUNTER_EVENTS.get(action)
    if counter is not None:
        common = {"origin": message.origin, "instance": instance, "version": message.version}
        return Announcement(counter(message, common))
    return None


def _merge(message: Message, common: dict[str, Any], done: bool) -> Merge:
    target, labels = message.count("Target"), message.labels("Labels")
    if done and target in labels:
        raise message.wrong(f"merges body {target} into itself")
    return Merge(**common, target=target, labels=tuple(sorted(labels)))


def _cleave(message: Message, common: dict[str, Any], done: bool) -> Cleave:
    orig, new = message.label("OrigLabel"), message.label("CleavedLabel")
    data_ref = message.text("DataRef", "")
    supervoxels = None
    if not data_ref:
        # The server accepts a cleave of nothing. A start can name what it is about to refuse.
        with nullcontext() if done else suppress(UndecodableRecord):
            supervoxels = message.labels("CleavedSupervoxels", may_be_empty=True)
    return Cleave(
        **common,
        orig=orig,
        new=new,
        supervoxels=supervoxels,
        data_ref=data_ref,
        cleaved_voxels=_voxels(message, "CleavedSize"),
        remaining_voxels=_voxels(message, "RemainSize"),
    )


def _voxels(message: Message, field: str) -> int | None:
    """Only completions tell it, and not those of old servers."""
    return None if message.fields.get(field) is None else message.count(field)


def _renumber(message: Message, common: dict[str, Any], _done: bool) -> Renumber:
    return Renumber(**common, orig=message.label("OrigLabel"), new=message.count("NewLabel"))


def _split_supervoxel(message: Message, common: dict[str, Any], _done: bool) -> SplitSupervoxel:
    return SplitSupervoxel(
        **common,
        supervoxel=message.label("Supervoxel"),
        body=message.label("Body"),
        split=message.label("SplitSupervoxel"),
        remain=message.label("RemainSupervoxel"),
        volume=message.name("Split"),
    )


def _split(message: Message, common: dict[str, Any], _done: bool) -> Split:
    parts = []
    for key, value in message.mapping("SVSplits").items():
        part = Message(message.origin, {**_dict(value), "supervoxel": _label_of(key)})
        parts.append((part.label("supervoxel"), part.label("Split"), part.label("Remain")))
    return Split(
        **common,
        target=message.label("Target"),
        new=message.label("NewLabel"),
        parts=tuple(sorted(parts)),
        volume=message.name("Split"),
    )


def _label_of(key: str) -> int | str:
    """The label that a JSON key holds; the key itself if it holds none."""
    return int(key) if key.isascii() and key.isdigit() and len(key) <= _LABEL_DIGITS else key


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _reserve(message: Message, common: dict[str, Any]) -> ReserveLabels:
    first, last = message.label("Start Label"), message.label("End Label")
    if last < first:
        raise message.wrong(f"reserves labels {first} to {last}")
    return ReserveLabels(**common, first=first, last=last)


def _raise_max(message: Message, common: dict[str, Any]) -> RaiseMaxLabel:
    return RaiseMaxLabel(**common, max_label=message.label("MaxLabel"))


def _set_next(message: Message, common: dict[str, Any]) -> SetNextLabel:
    ceiling = message.count("Ceiling") if "Ceiling" in message.fields else None
    return SetNextLabel(**common, next_label=message.label("Next Label"), ceiling=ceiling)


_BODY_EVENTS: Mapping[str, Callable[[Message, dict[str, Any], bool], BodyEvent]] = {
    "merge": _merge,
    "cleave": _cleave,
    "renumber": _renumber,
    "split-supervoxel": _split_supervoxel,
    "split": _split,
}
_COUNTER_EVENTS: Mapping[str, Callable[[Message, dict[str, Any]], CounterEvent]] = {
    "post-nextlabel": _reserve,
    "post-maxlabel": _raise_max,
    "setnextlabel": _set_next,
}
