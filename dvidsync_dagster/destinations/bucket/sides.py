"""The sides of the instances that a snapshot follows: what reads each at the source, for its tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from dvidsync_dagster.datatypes.registry import FOLLOWED, REPO
from dvidsync_dagster.datatypes.snapshot_side import SnapshotSide
from dvidsync_dagster.destinations.bucket.table_places import refuse_nameless
from dvidsync_dagster.destinations.source import Source
from dvidsync_dagster.outgoing_text import escaped
from dvidsync_dagster.snapshot.points import POINTS

Sides = Mapping[str, SnapshotSide]
"""By the instance's name; "" for the repo itself."""


def snapshot_sides(source: Source, branch: str, field: str, note: Callable[[str], None]) -> Sides:
    """Those of all instances that are followed, and of the repo.

    Args:
        branch: that the snapshot follows.
        field: of the destination in the configuration, for messages.
        note: is told of instances that a snapshot holds nothing of.

    Raises:
        ConfigurationError: no request can name an instance.
    """
    repo = source.repo
    sides: dict[str, SnapshotSide] = {"": REPO.versions_side(source.client, repo.root, branch)}
    followed = {name: each for name, each in repo.instances.items() if source.followed(name)}
    refuse_nameless(followed, field)
    for instance in followed.values():
        side = FOLLOWED[instance.typename].snapshot_side(source.client, instance, followed)
        if side is None:
            note(f"{escaped(f'{instance.typename} {instance.name}', 100)}: a snapshot holds nothing of it")
        else:
            sides[instance.name] = side
    return sides


def table_paths(sides: Sides) -> dict[str, list[str]]:
    """Of the tables of each side; the table of points is the repo's too."""
    found = {name: list(paths(side)) for name, side in sides.items()}
    return {**found, "": [*found[""], POINTS.path]}


def under(sides: Sides) -> Mapping[str, str]:
    """The instance that another one is synced to, as far as the snapshot has both."""
    found = {
        name: next((each for each in side.instance.syncs if each in sides), None)
        for name, side in sides.items()
    }
    return {name: other for name, other in found.items() if other is not None}


def paths(side: SnapshotSide) -> Iterable[str]:
    """Of its tables."""
    return (table.path for table in side.tables)
