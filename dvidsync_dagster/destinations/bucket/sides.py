"""The sides of the instances that a snapshot follows: what reads each at the source, for its tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from dvidsync_dagster.datatypes.registry import FOLLOWED, REPO
from dvidsync_dagster.datatypes.snapshot_side import SnapshotSide
from dvidsync_dagster.destinations.source import Source
from dvidsync_dagster.errors import ConfigurationError
from dvidsync_dagster.snapshot.points import POINTS

Sides = Mapping[str, SnapshotSide]
"""By the instance's name; "" for the repo itself."""


def snapshot_sides(source: Source, branch: str, place: str, note: Callable[[str], None]) -> Sides:
    """Those of all instances that are followed, and of the repo.

    Args:
        branch: that the snapshot follows.
        place: of the destination in the configuration, for messages.
        note: is told of instances that a snapshot holds nothing of.

    Raises:
        ConfigurationError: an instance has the name of one of the snapshot's own tables.
    """
    repo = source.repo
    sides: dict[str, SnapshotSide] = {"": REPO.versions_side(source.client, repo.root, branch)}
    followed = {name: each for name, each in repo.instances.items() if source.followed(name)}
    for instance in followed.values():
        side = FOLLOWED[instance.typename].snapshot_side(source.client, instance, followed)
        if side is None:
            note(f"{instance.typename} {instance.name}: a snapshot holds nothing of it")
        else:
            sides[instance.name] = side
    _refuse_own_names(sides, place)
    return sides


def _refuse_own_names(sides: Sides, place: str) -> None:
    """A table below another one would be taken for a part of it."""
    own = {path.split("/")[0] for path in (POINTS.path, *paths(sides[""]))}
    for name in sides:
        if name in own:
            raise ConfigurationError(
                place,
                f"instance {name!r} has the name of a table that the snapshot itself needs",
                "Leave it out of the snapshot: name it in `own`.",
            )


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
