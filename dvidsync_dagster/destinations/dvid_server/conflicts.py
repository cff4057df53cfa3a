"""What a run leaves out at a destination, beside what earlier runs have left out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from dvidsync_dagster.datatypes.commands import Step
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.events.origin import Origin
from dvidsync_dagster.events.repo import RepoEvent
from dvidsync_dagster.log.conflicts import ConflictRow, ConflictTable
from dvidsync_dagster.plan.left_out import LeftOut

_APPLIED = "it was applied later"
_AGREES = "source and destination are the same again"
_SHOWN = 20
_ASKED = 2_000
"""Open rows that are looked at again in a run."""


class Conflicts:
    """The open rows of the conflict table, while a run lasts.

    Args:
        table: that of the destination; it is read at once.
    """

    def __init__(self, table: ConflictTable) -> None:
        self.left_out = LeftOut()
        self._table = table
        self._open: dict[Origin, ConflictRow] = {row.origin: row for row in table.open()}

    @property
    def open(self) -> Collection[ConflictRow]:
        """By what source and destination differ, as far as is known."""
        return self._open.values()

    def begin(self, row: ConflictRow) -> None:
        """Something is left out. What depends on nothing is kept at once: a run that goes on after this one
        was killed must not take it for applied."""
        if not row.depends_on and row.origin not in self._open:
            self._table.add([row])
            self._open[row.origin] = row

    def keep(self, applied: Sequence[Event], rows: Sequence[ConflictRow]) -> None:
        """A batch was brought: what was left out is open, what was applied is not anymore."""
        left_out = {row.origin for row in rows}
        done = [
            self._open[event.origin]
            for event in applied
            if event.origin in self._open and event.origin not in left_out
        ]
        self._table.close(done, _APPLIED)
        self._table.add(rows)
        for row in done:
            del self._open[row.origin]
        self._open |= {row.origin: row for row in rows}

    def close_agreeing(self, agrees: Callable[[ConflictRow], bool]) -> None:
        """The destination is where the source is: what no longer differs is closed. `agrees` asks both."""
        oldest = sorted(self._open)[:_ASKED]
        done = [self._open[origin] for origin in oldest if agrees(self._open[origin])]
        self._table.close(done, _AGREES)
        for row in done:
            del self._open[row.origin]
            self.left_out.forget(row.where)


class Blocked:
    """Which steps wait where runs stop at what is refused: a commit of a version in which something was, and
    all that comes after it. So it can still be applied once that is resolved.

    Args:
        steps: of a plan.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self.refused: set[int] = set()
        self._steps = steps
        self._waiting: set[int] = set()

    def waits(self, index: int) -> bool:
        """Whether a step waits. Asked once it might begin."""
        step = self._steps[index]
        before = set(step.waits_for)
        is_of_repo = any(isinstance(event, RepoEvent) for event in step.events)
        waits = not before.isdisjoint(self._waiting) or (is_of_repo and not before.isdisjoint(self.refused))
        if waits:
            self._waiting.add(index)
        return waits


def stop_text(name: str, rows: Sequence[ConflictRow]) -> str:
    """What a run that stops says of what it left out."""
    first = sorted(rows, key=lambda row: row.origin)
    lines = [f"- {row.action} at {row.where} in version {row.version}: {row.found}" for row in first[:_SHOWN]]
    if len(rows) > _SHOWN:
        lines.append(f"- and {len(rows) - _SHOWN:,} more (`dvidsync conflicts list`)")
    return (
        f"{len(rows):,} operations cannot be applied to {name}:\n"
        + "\n".join(lines)
        + "\nNothing that depends on them is applied. Compare source and destination there, or set "
        "`on_conflict: skip` to leave such operations out."
    )
