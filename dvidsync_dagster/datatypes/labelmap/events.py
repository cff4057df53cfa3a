"""What a labelmap instance announces in Kafka, as typed events.

An operation is announced when it starts and again, as ``…-complete``, when it is done. Only the second means
that it happened (docs/dvid.md, "Start and completion"). The field names are DVID's (see the table in its
documentation of Kafka mutations, corrected by what a running server sends).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import Any, ClassVar

from dvidsync_dagster.errors import UndecodableRecord
from dvidsync_dagster.events.event import Announcement, Event, NumberedEvent
from dvidsync_dagster.events.message import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelEvent(Event):
    """What all have in common."""

    typename: ClassVar[str] = "labelmap"

    @property
    def action(self) -> str:
        return ACTION_NAMES[type(self)]


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyEvent(LabelEvent, NumberedEvent):
    """An event that changes bodies. Its rank orders those that share a body."""

    @property
    def bodies(self) -> tuple[int, ...]:
        """Every body that it touches."""
        raise NotImplementedError

    @property
    def survivors(self) -> tuple[int, ...]:
        """The bodies that exist when it is done and then carry its tag."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge(BodyEvent):
    """Bodies `labels` become part of `target`; 0 is no body, but the background, and DVID takes it."""

    target: int
    labels: tuple[int, ...]

    @property
    def bodies(self) -> tuple[int, ...]:
        return (self.target, *self.labels)

    @property
    def survivors(self) -> tuple[int, ...]:
        return _but_background(self.target)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleave(BodyEvent):
    """`supervoxels` go from body `orig` to `new`. They are None where only the blob `data_ref` has them."""

    orig: int
    new: int
    supervoxels: tuple[int, ...] | None
    data_ref: str = ""

    @property
    def bodies(self) -> tuple[int, ...]:
        return (self.orig, self.new)

    @property
    def survivors(self) -> tuple[int, ...]:
        return (self.orig, self.new)


@dataclass(frozen=True, slots=True, kw_only=True)
class Renumber(BodyEvent):
    """Body `orig` becomes `new`, or with 0 part of the background."""

    orig: int
    new: int

    @property
    def bodies(self) -> tuple[int, ...]:
        return (self.orig, self.new)

    @property
    def survivors(self) -> tuple[int, ...]:
        return _but_background(self.new)


def _but_background(label: int) -> tuple[int, ...]:
    return (label,) if label else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSupervoxel(BodyEvent):
    """`supervoxel` of `body` becomes `split` (the voxels in blob `volume`) and `remain`."""

    supervoxel: int
    body: int
    split: int
    remain: int
    volume: str

    @property
    def bodies(self) -> tuple[int, ...]:
        return (self.body,)

    @property
    def survivors(self) -> tuple[int, ...]:
        return (self.body,)

    @property
    def parts(self) -> tuple[tuple[int, int, int], ...]:
        """As those of a `Split`."""
        return ((self.supervoxel, self.split, self.remain),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split(BodyEvent):
    """The voxels in blob `volume` leave body `target` for `new`; `parts` are (supervoxel, split, remain)."""

    target: int
    new: int
    parts: tuple[tuple[int, int, int], ...]
    volume: str

    @property
    def bodies(self) -> tuple[int, ...]:
        return (self.target, self.new)

    @property
    def survivors(self) -> tuple[int, ...]:
        return (self.target, self.new)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveLabels(LabelEvent):
    """`POST nextlabel/k` took the ids `first` to `last`."""

    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RaiseMaxLabel(LabelEvent):
    max_label: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetNextLabel(LabelEvent):
    """`POST set-nextlabel/n`: the next label is n + 1. `ceiling` None leaves the ceiling as it is."""

    next_label: int
    ceiling: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnLabels(LabelEvent):
    """Ids that no body here gets: of an event that failed, or that is not selected."""

    left_by: LabelEvent


CounterEvent = ReserveLabels | RaiseMaxLabel | SetNextLabel | BurnLabels


ACTION_NAMES: Mapping[type[LabelEvent], str] = {
    Merge: "merge",
    Cleave: "cleave",
    Renumber: "renumber",
    SplitSupervoxel: "split-supervoxel",
    Split: "split",
    ReserveLabels: "post-nextlabel",
    RaiseMaxLabel: "post-maxlabel",
    SetNextLabel: "setnextlabel",
    BurnLabels: "burned labels",
}

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
    return Cleave(**common, orig=orig, new=new, supervoxels=supervoxels, data_ref=data_ref)


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
