"""Comparisons and repairs as text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from dvidsync_dagster.differences.findings import EXAMPLES, Comparison, Difference
from dvidsync_dagster.differences.work import NotRepaired, Pending, Repair, RepairChange
from dvidsync_dagster.outgoing_text import escaped

Row = Difference | RepairChange | Pending | NotRepaired

_OWN_SHOWN = 1000
_WIDTH = 100

_COLUMNS = ("version", "instance", "what", "count", "first examples")


def comparison_text(comparison: Comparison) -> str:
    """What differs, as a table, and what else is good to know."""
    lines = [comparison.summary(), *_table(comparison.differences)]
    if comparison.pending:
        lines += ["  pending, as the log goes on there:", *_table(comparison.pending)]
    if own := comparison.own.line():
        lines.append(f"  {own}")
    return "\n".join([*lines, *(f"  note: {note}" for note in comparison.notes)])


def repair_text(done: Repair) -> str:
    """What was changed, what was not and why, and what differs still."""
    lines = [done.summary(), *_table(done.changes)]
    if done.own_edits:
        lines.append(f"  of the destination's own {'would go' if done.after is None else 'went'}:")
        lines += [
            f"    {edit.version}  {edit.instance}  {edit.item}  changed last by "
            f"{escaped(edit.user, 200) or 'somebody'} {escaped(edit.time, 200)}".rstrip()
            for edit in done.own_edits[:_OWN_SHOWN]
        ]
        if len(done.own_edits) > _OWN_SHOWN:
            lines.append(f"    and {len(done.own_edits) - _OWN_SHOWN:,} more (--json)")
    lines += [line for change in done.changes for line in _named(change)]
    if done.not_repaired:
        lines += ["  not repaired:", *_table(done.not_repaired)]
        reasons = dict.fromkeys(row.why for row in done.not_repaired)
        lines += [f"    {why}" for why in reasons]
    if done.pending:
        lines += ["  pending, left to the log:", *_table(done.pending)]
    if done.after is not None:
        lines += ["  afterwards: " + done.after.summary(), *_table(done.after.differences)]
        if own := done.after.own.line():
            lines.append(f"  {own}")
    return "\n".join(lines)


def _named(change: RepairChange) -> list[str]:
    """All items that are named, where these are more than the table has room for."""
    if len(change.examples) <= EXAMPLES:
        return []
    named = textwrap.wrap("; ".join(change.examples), _WIDTH, break_on_hyphens=False)
    more = change.count - len(change.examples)
    title = f"    {change.what} of {change.instance} in {change.version}:"
    return [title, *(f"      {line}" for line in named), *([f"      and {more:,} more"] if more else [])]


def _table(rows: Sequence[Row]) -> list[str]:
    """Lines with columns of one width, but for the last; none without rows."""
    if not rows:
        return []
    cells = [_COLUMNS, *(_cells(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_COLUMNS) - 1)]
    return [
        "    " + "  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True))
        for row in cells
    ]


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.version or "-",
        row.instance or "-",
        row.what,
        f"{row.count:,}",
        "; ".join(row.examples[:EXAMPLES]),
    )
