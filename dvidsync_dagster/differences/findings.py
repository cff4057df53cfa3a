"""What a comparison tells."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from dvidsync_dagster.differences.own import NOTHING_OWN, Own
from dvidsync_dagster.events.origin import key_text
from dvidsync_dagster.outgoing_text import counted

EXAMPLES = 3


class DifferenceKind(Enum):
    """What a row is about. Code asks for this; `what` is for people."""

    VERSION_ONLY_AT_SOURCE = auto()
    VERSION_ONLY_AT_DESTINATION = auto()
    PARENTS = auto()
    BRANCH = auto()
    STATE = auto()
    NOTE = auto()
    LOG = auto()
    INSTANCE_ONLY_AT_SOURCE = auto()
    INSTANCE_ONLY_AT_DESTINATION = auto()
    INSTANCE_NAME = auto()
    INSTANCE_TYPE = auto()
    SYNCS = auto()
    COUNTER = auto()
    """The counter of ids that all versions of an instance share."""
    HIGHEST_ID = auto()
    """The highest id that a version of an instance has had."""
    UNREADABLE = auto()
    """A server refuses to list what an instance holds in a version: nothing is known of it."""
    ITEMS = auto()


@dataclass(frozen=True, slots=True)
class Difference:
    """One row of the table.

    Args:
        version: UUID; "" for what is the whole repo's.
        instance: name at the source (or at the destination, if only that has it); "" for versions.
        what: what differs, such as "bodies only at the source".
        count: how many.
        examples: the first of them, with their ids and what either side says.
        kind: the same for rows that are about the same, whatever they say.
        items: of which kind the items are (`Kind.name`); "" for other rows.
        ahead: the destination has more, where ids are counted.
    """

    version: str
    instance: str
    what: str
    count: int
    examples: tuple[str, ...]
    kind: DifferenceKind
    items: str = ""
    ahead: bool = False

    def as_json(self) -> dict[str, Any]:
        """What is shown of it: the columns of the table."""
        return {
            "version": self.version,
            "instance": self.instance,
            "what": self.what,
            "count": self.count,
            "examples": self.examples,
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """A destination beside its source.

    Args:
        differences: none if they agree.
        pending: what differs and is touched by records that the destination has not followed yet. It is read
            again by the next comparison, and is no difference.
        point: the key (ns since 1970) up to which the destination had followed when it was compared; 0 if
            that is not known.
        versions: the only ones that were compared; without any, all that are followed.
        read: how many items were read at the source, by version and instance those that were compared.
        remembered: how many pairs of version and instance were not read, as they agreed before.
        notes: what is good to know: what was left out and why, highest labels.
        agreed: ids of all pairs that are committed on both sides and agree; to be given to the next one.
        seconds: how long it took.
        own: what the destination has of its own, which is no difference.
    """

    differences: tuple[Difference, ...]
    pending: tuple[Difference, ...]
    point: int
    versions: tuple[str, ...]
    read: int
    compared: int
    remembered: int
    notes: tuple[str, ...]
    agreed: frozenset[str]
    seconds: float
    own: Own = NOTHING_OWN

    @property
    def agree(self) -> bool:
        return not self.differences

    def summary(self) -> str:
        found = (
            counted(len(self.differences), "kind of difference", "kinds of differences")
            if self.differences
            else "they agree"
        )
        only = f" in {counted(len(self.versions), 'chosen version')}" if self.versions else ""
        point = f" at {key_text(self.point)}" if self.point else ""
        pending = sum(row.count for row in self.pending)
        later = f", {counted(pending, 'item')} pending" if pending else ""
        return (
            f"{found}{only}{point}{later}: "
            f"{counted(self.compared, 'instance in a version', 'instances in versions')} read "
            f"({counted(self.read, 'item')}, {self.seconds:.1f} s), "
            f"{counted(self.remembered, 'committed one')} agreed before"
        )

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "agree": self.agree,
            "differences": [row.as_json() for row in self.differences],
            "pending": [row.as_json() for row in self.pending],
            "point": key_text(self.point) if self.point else None,
            "versions": list(self.versions),
            "items_read": self.read,
            "compared": self.compared,
            "agreed_before": self.remembered,
            "own": self.own.as_json(),
            "notes": list(self.notes),
            "seconds": round(self.seconds, 3),
        }
