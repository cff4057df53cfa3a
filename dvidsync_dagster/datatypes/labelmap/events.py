"""What happens in a labelmap instance, as typed events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from dvidsync_dagster.events.event import Event, NumberedEvent


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
    """`supervoxels` go from body `orig` to `new`. They are None where only the blob `data_ref` has them.

    `cleaved_voxels` are those of `new` and `remaining_voxels` those of `orig` when it was done; None if the
    message does not tell.
    """

    orig: int
    new: int
    supervoxels: tuple[int, ...] | None
    data_ref: str = ""
    cleaved_voxels: int | None = None
    remaining_voxels: int | None = None

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
    """The voxels in blob `volume` leave body `target` for `new`; `parts` are (supervoxel, split, remain).

    `voxels` is how many they are; None until the blob is read.
    """

    target: int
    new: int
    parts: tuple[tuple[int, int, int], ...]
    volume: str
    voxels: int | None = None

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
