"""What a repair does, would do, and must leave."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dvidsync_dagster.differences.findings import EXAMPLES, Comparison, Difference
from dvidsync_dagster.outgoing_text import counted, escaped


@dataclass(frozen=True, slots=True)
class ChangeKind:
    """What is changed. A constant for each: code asks for it.

    Args:
        text: for people, such as "write key".
    """

    text: str


@dataclass(frozen=True, slots=True)
class RepairChange:
    """Changes of one kind that are made, or in a dry run would be. `version` and `instance` can be ""."""

    version: str
    instance: str
    kind: ChangeKind
    count: int
    examples: tuple[str, ...]

    @property
    def what(self) -> str:
        return self.kind.text

    def as_json(self) -> dict[str, Any]:
        """What is shown of it: the columns of the table."""
        return _columns(self)


@dataclass(frozen=True, slots=True)
class Pending:
    """What a repair leaves to a run that follows, as records that are still to come touch it."""

    version: str
    instance: str
    what: str
    count: int
    examples: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """What is shown of it: the columns of the table."""
        return _columns(self)


@dataclass(frozen=True, slots=True)
class NotRepaired:
    """Differences of one kind that a repair does not touch: why, and what can be done."""

    version: str
    instance: str
    what: str
    count: int
    examples: tuple[str, ...]
    why: str

    @classmethod
    def of(cls, row: Difference | RepairChange, why: str) -> NotRepaired:
        """What differs, or would have been changed."""
        return cls(row.version, row.instance, row.what, row.count, row.examples, why)

    def as_json(self) -> dict[str, Any]:
        """What is shown of it: the columns of the table, and why."""
        return _columns(self) | {"why": self.why}


def _columns(row: RepairChange | Pending | NotRepaired) -> dict[str, Any]:
    return {
        "version": row.version,
        "instance": row.instance,
        "what": row.what,
        "count": row.count,
        "examples": row.examples,
    }


@dataclass(frozen=True, slots=True)
class OwnEdit:
    """Something of the destination's own that a repair takes back.

    Args:
        item: such as "body 5".
        user, time: who changed it there last, and when, as the destination tells.
    """

    version: str
    instance: str
    item: str
    user: str
    time: str

    def as_json(self) -> dict[str, Any]:
        """What is shown of it: the columns of the table."""
        return {
            "version": self.version,
            "instance": self.instance,
            "item": self.item,
            "user": escaped(self.user, 200),
            "time": escaped(self.time, 200),
        }


@dataclass(frozen=True, slots=True)
class Repair:
    """What a repair came to.

    Args:
        after: the comparison at its end; a dry run has none.
        own_edits: what of the destination's own goes, as far as it shows who made it.
        conflicts: how many rows of the conflict table it closed; in a dry run those that it may close.
    """

    changes: tuple[RepairChange, ...]
    not_repaired: tuple[NotRepaired, ...]
    after: Comparison | None
    pending: tuple[Pending, ...] = ()
    own_edits: tuple[OwnEdit, ...] = ()
    conflicts: int = 0

    @property
    def agree(self) -> bool:
        """It agrees with its source: now, or at a dry run already. What could not be done differs
        also where it is pending: a destination that cannot follow waits for it in vain."""
        if self.after is None:
            return not (self.changes or self.not_repaired)
        waiting = {(row.version, row.instance) for row in self.after.pending}
        left = {(row.version, row.instance) for row in self.not_repaired}
        return self.after.agree and waiting.isdisjoint(left)

    def summary(self) -> str:
        """One line: how much was changed, or in a dry run would be."""
        total = sum(change.count for change in self.changes)
        if self.after is None:
            more = (
                f", and up to {counted(self.conflicts, 'row')} of the conflict table closed"
                if self.conflicts
                else ""
            )
            return f"{counted(total, 'change')} would be made{more}"
        more = (
            f", and {counted(self.conflicts, 'row')} of the conflict table closed" if self.conflicts else ""
        )
        return f"{counted(total, 'change was', 'changes were')} made{more}"

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "dry_run": self.after is None,
            "changes": [change.as_json() for change in self.changes],
            "own_edits": [edit.as_json() for edit in self.own_edits],
            "conflicts_closed": self.conflicts,
            "left": [row.as_json() for row in self.not_repaired],
            "pending": [row.as_json() for row in self.pending],
            "after": self.after.as_json() if self.after is not None else None,
        }


@dataclass
class Work:
    """Collects what a repair does.

    Args:
        dry_run: nothing may be changed.
        in_flight: how many reads may run side by side.
        shares_ids: people practise at the destination and take ids from its counters, which then are ahead.
        met_at: the destination's next mutation id when it was first met; 0 if that is not known.
        shown: how many items of each change are named.
        begins: told of version, instance and bodies that are about to be changed by several commands.
    """

    dry_run: bool
    in_flight: int = 4
    shares_ids: bool = False
    met_at: int = 0
    shown: int = EXAMPLES
    begins: Callable[[str, str, Collection[int]], None] = lambda *_: None
    own_edits: list[OwnEdit] = field(default_factory=list)
    changes: list[RepairChange] = field(default_factory=list)
    not_repaired: list[NotRepaired] = field(default_factory=list)
    pending: list[Pending] = field(default_factory=list)

    def begin(self, version: str, instance: str, bodies: Collection[int]) -> None:
        """These bodies are about to be changed, perhaps by several commands."""
        if not self.dry_run:
            self.begins(version, instance, bodies)

    def plan(self, version: str, instance: str, kind: ChangeKind, items: Sequence[Any]) -> bool:
        """Note what is about to be done. True if it is to be done: there are items and this is no dry run."""
        if len(items):
            self.changes.append(
                RepairChange(version, instance, kind, len(items), examples(items, self.shown))
            )
        return bool(len(items)) and not self.dry_run

    def wait(self, version: str, instance: str, what: str, items: Sequence[Any]) -> None:
        """Note what records touch that are still to come. Does nothing without items."""
        if len(items):
            self.pending.append(Pending(version, instance, what, len(items), examples(items)))

    def leave(
        self, version: str, instance: str, what: str | ChangeKind, items: Sequence[Any], why: str
    ) -> None:
        """Note what is not done. Does nothing without items."""
        if len(items):
            text = what.text if isinstance(what, ChangeKind) else what
            self.not_repaired.append(NotRepaired(version, instance, text, len(items), examples(items), why))

    def refused(self, version: str, instance: str, kind: ChangeKind, items: Sequence[Any], why: str) -> None:
        """Note what was planned and could not be done: it is not among the changes anymore."""
        self.leave(version, instance, kind, items, why)
        gone = set(examples(items, len(items)))
        for place, change in enumerate(self.changes):
            if (change.version, change.instance, change.kind) == (version, instance, kind):
                named = tuple(each for each in change.examples if each not in gone)
                self.changes[place] = replace(change, count=change.count - len(items), examples=named)
        self.changes = [change for change in self.changes if change.count > 0]

    def planned(self, instance: str, *kinds: ChangeKind) -> list[RepairChange]:
        """What was noted of an instance."""
        return [change for change in self.changes if change.instance == instance and change.kind in kinds]


def examples(items: Sequence[Any], count: int = EXAMPLES) -> tuple[str, ...]:
    """The first items as text, each of a bounded length."""
    return tuple(escaped(str(item), 120) for item in items[:count])
