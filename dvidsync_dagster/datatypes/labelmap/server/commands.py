"""What is asked of a labelmap at a DVID server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dvidsync_dagster.datatypes.commands import Command
from dvidsync_dagster.datatypes.labelmap.counter_rule import Ids, PickedBy
from dvidsync_dagster.datatypes.labelmap.server.tags import tagged
from dvidsync_dagster.events.event import Rank


@dataclass(frozen=True, slots=True)
class Fresh:
    """A label that the server picks when the command is carried out."""

    number: int


Label = int | Fresh


@dataclass(frozen=True, slots=True)
class Signature:
    """In whose name a command is carried out; the changed bodies keep it.

    Args:
        user, app: as the source had them.
        rank: of the source's event, for the tag in `app`; None leaves no tag.
    """

    user: str = ""
    app: str = ""
    rank: Rank | None = None

    @property
    def tagged_app(self) -> str:
        return self.app if self.rank is None else tagged(self.app, self.rank)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelCommand(Command):
    """What all have in common."""

    typename: ClassVar[str] = "labelmap"

    signature: Signature = Signature()


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeBodies(LabelCommand):
    """Make bodies `labels` part of `target`. One that repeats several merges is taken apart where it is
    refused."""

    target: Label
    labels: tuple[Label, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CleaveBody(LabelCommand):
    """Move supervoxels from body `orig` to a body `new`, which must come out with this label.

    Args:
        supervoxels: None where only the source's blob `data_ref` has them.
        avoid: labels that the server must not pick in between.
    """

    orig: int
    new: Label
    supervoxels: tuple[int, ...] | None
    data_ref: str = ""
    avoid: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class RenumberBody(LabelCommand):
    orig: Label
    new: Label


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSupervoxels(LabelCommand):
    """Split supervoxels of a body.

    Args:
        volume: the voxels that are split off: the source's blob that holds them, or the supervoxels that they
            are at the source now.
        body: that they belong to.
        parts: (supervoxel, split, remain) with the ids that both halves get.
        new: the body that the split halves are then cleaved off to; None leaves them in `body`.
    """

    body: int
    parts: tuple[tuple[int, int, int], ...]
    volume: str | tuple[int, ...]
    new: int | None = None

    @property
    def ids(self) -> Ids:
        """Those that it brings into the world."""
        named = [label for _, *pair in self.parts for label in pair]
        if self.new is None:
            return Ids(min(named), max(named), PickedBy.EITHER)
        return Ids(min(self.new, *named), max(self.new, *named), PickedBy.COUNTER)


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeBodies(LabelCommand):
    """Bring bodies to where a sequence of operations leaves them, in bulk: by their indices and mapping.

    The operations are those that the step repeats, each of them a part.

    Args:
        looked: the destination was asked what it has, and has none of these.
    """

    looked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeIntoIndex(LabelCommand):
    """List supervoxels in the index of a body, which they belong to by the mapping.

    Args:
        parts: each with another body and a version: the index there tells its voxels.
    """

    body: int
    parts: tuple[tuple[int, int, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DropFromIndex(LabelCommand):
    """Take supervoxels out of the index of a body that they do not belong to by the mapping."""

    body: int
    supervoxels: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinSupervoxels(LabelCommand):
    """Make one supervoxel of parts that it was split into.

    Args:
        body: that it belongs to then.
        others: bodies that parts are in besides, with how their change is signed.
    """

    body: int
    whole: int
    parts: tuple[int, ...]
    others: tuple[tuple[int, Signature], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeLabel(LabelCommand):
    """Reserve a label, to hold a body while labels are swapped. `avoid` as for `CleaveBody`."""

    result: Fresh
    avoid: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveBelow(LabelCommand):
    """Reserve all labels that the counter has not given yet and that lie below `next_label`."""

    next_label: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PassIds(LabelCommand):
    """Ids that the source has given, or burned, and that no body here gets."""

    ids: Ids


@dataclass(frozen=True, slots=True, kw_only=True)
class RaiseHighest(LabelCommand):
    """Raise the highest label of the version, as an administrator did at the source."""

    max_label: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetCounter(LabelCommand):
    """The next label is `next_label` + 1, as an administrator set it at the source; `ceiling` None leaves the
    ceiling as it is."""

    next_label: int
    ceiling: int | None
