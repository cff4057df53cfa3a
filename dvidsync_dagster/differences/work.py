"""What a repair does, would do, and must leave."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from dvidsync_dagster.differences.findings import EXAMPLES, Comparison
from dvidsync_dagster.outgoing_text import escaped


@dataclass(frozen=True, slots=True)
class Change:
    """Changes of one kind that are made, or in a dry run would be. `version` and `instance` can be ""."""

    version: str
    instance: str
    what: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Left:
    """Differences of one kind that a repair does not touch: why, and what can be done."""

    version: str
    instance: str
    what: str
    count: int
    examples: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Repair:
    """What a repair came to.

    Args:
        after: the comparison at its end; a dry run has none.
        pending: what later records touch: a run that follows brings it.
    """

    changes: tuple[Change, ...]
    left: tuple[Left, ...]
    after: Comparison | None
    pending: tuple[Change, ...] = ()

    @property
    def agree(self) -> bool:
        """The destination agrees with its source: now, or at a dry run already."""
        return self.after.agree if self.after is not None else not (self.changes or self.left)

    def summary(self) -> str:
        """One line: how much was changed, or in a dry run would be."""
        total = sum(change.count for change in self.changes)
        return f"{total:,} changes {'would be' if self.after is None else 'were'} made"

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "dry_run": self.after is None,
            "changes": [asdict(change) for change in self.changes],
            "left": [asdict(left) for left in self.left],
            "pending": [asdict(change) for change in self.pending],
            "after": self.after.as_json() if self.after is not None else None,
        }


@dataclass
class Work:
    """Collects what a repair does.

    Args:
        dry_run: nothing may be changed.
        still_owner: raises OwnershipLost if another run has taken the destination over; call it before each
            change.
        in_flight: how many requests may run side by side.
    """

    dry_run: bool
    still_owner: Callable[[], None]
    in_flight: int = 4
    changes: list[Change] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    pending: list[Change] = field(default_factory=list)

    def plan(self, version: str, instance: str, what: str, items: Sequence[Any]) -> bool:
        """Note what is about to be done. True if it is to be done: there are items and this is no dry run."""
        if len(items):
            self.changes.append(Change(version, instance, what, len(items), examples(items)))
        return bool(len(items)) and not self.dry_run

    def wait(self, version: str, instance: str, what: str, items: Sequence[Any]) -> None:
        """Note what records touch that are still to come. Does nothing without items."""
        if len(items):
            self.pending.append(Change(version, instance, what, len(items), examples(items)))

    def leave(self, version: str, instance: str, what: str, items: Sequence[Any], why: str) -> None:
        """Note what is not done. Does nothing without items."""
        if len(items):
            self.left.append(Left(version, instance, what, len(items), examples(items), why))


def examples(items: Sequence[Any]) -> tuple[str, ...]:
    """The first items as text, each of a bounded length."""
    return tuple(escaped(str(item), 120) for item in items[:EXAMPLES])
