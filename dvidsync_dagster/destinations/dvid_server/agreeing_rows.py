"""Rows of the conflict table about keys, neurons and elements that are the same on both sides again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from dvidsync_dagster.datatypes.server_side import ServerSide, Told
from dvidsync_dagster.destinations.protocol import ConflictRow
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.outgoing_text import is_whole


def agreeing_rows(
    rows: Sequence[ConflictRow], instances: Mapping[str, Instance], sides: Mapping[str, ServerSide]
) -> Collection[str]:
    """The names of these rows. What a server refuses to tell is not among them, nor what its row does not
    name in full.

    Args:
        instances: of the source, by name.
        sides: by data type.
    """
    places: dict[tuple[str, str], list[ConflictRow]] = {}
    for row in rows:
        if row.instance in instances and row.items and all(map(is_whole, row.items)):
            places.setdefault((row.version, row.instance), []).append(row)
    found: set[str] = set()
    for (version, name), own in places.items():
        side = sides[instances[name].typename]
        try:
            same = side.agreeing(version, name, [Told(row.action, row.items) for row in own])
        except RequestRefused:
            continue
        found.update(own[place].name for place in same)
    return found
