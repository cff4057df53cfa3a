"""Which rows of the conflict table a repair has resolved: what their events touched is as at the source."""

from __future__ import annotations

from collections.abc import Iterator

from dvidsync_dagster.compare.comparison import Compared
from dvidsync_dagster.compare.reading import Suspect
from dvidsync_dagster.destinations.protocol import ConflictRow
from dvidsync_dagster.differences.findings import DifferenceKind

_COUNTED = (DifferenceKind.COUNTER, DifferenceKind.HIGHEST_ID)


def is_resolved(row: ConflictRow, after: Compared) -> bool:
    """Whether nothing that the row is about differs after a repair, or is pending. What was not compared is
    not resolved."""
    sides = after.sides
    if row.version not in sides.versions or row.version not in sides.destination_repo.versions:
        return False
    if not row.instance:
        return _is_resolved_in_repo(row, after)
    if row.instance not in {pair.source.name for pair in sides.instances.pairs}:
        return False
    if any(
        each.kind is DifferenceKind.UNREADABLE
        and (each.instance, each.version) == (row.instance, row.version)
        for each in after.left.rows
    ):
        return False
    if not row.items:
        # What moves a counter of ids is the whole instance's, which is compared with all versions.
        counted = any(each.kind in _COUNTED and each.instance == row.instance for each in after.left.rows)
        return not sides.chosen and not counted and not any(_of(row, after))
    return not any(each.comparison.concerns(row.items, each.found) for each in _of(row, after))


def _of(row: ConflictRow, after: Compared) -> Iterator[Suspect]:
    """What differs in the row's instance and version."""
    return (
        each
        for each in after.left.items
        if (each.pair.source.name, each.pair.source.version) == (row.instance, row.version)
    )


def _is_resolved_in_repo(row: ConflictRow, after: Compared) -> bool:
    """Of a version or an instance that was to be made, only a repair of all versions tells."""
    if row.items and after.sides.chosen:
        return False
    names = {row.version, *row.items}
    return names.isdisjoint(
        {each.version for each in after.left.rows} | {each.instance for each in after.left.rows}
    )
