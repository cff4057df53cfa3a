"""The supervoxels under elements, by the labelmap to which their instance is synced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dvidsync_dagster.datatypes.annotation.region import block_edge
from dvidsync_dagster.dvid.annotation import Point
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.repo import Instance, read_instance
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.errors import Unfit
from dvidsync_dagster.snapshot.table import HIGHEST

_TYPENAME = "labelmap"


@dataclass(frozen=True, slots=True)
class LabelsUnder:
    """What lies under the elements of an instance at one version.

    Args:
        labels: None if the instance is synced to no labelmap.
        edge: voxels along each side of a block of elements.
    """

    labels: Labelmap | None
    version: str
    edge: Point

    def supervoxels(self, points: Sequence[Point]) -> list[int] | None:
        """The supervoxel at each point, 0 for none; None if there are no labels.

        Raises:
            Unfit: one that no table holds.
        """
        if self.labels is None:
            return None
        found = self.labels.supervoxels_at(self.version, points)
        highest = max(found, default=0)
        if highest > HIGHEST:
            raise Unfit(
                self.labels.name,
                f"there is a supervoxel {highest} under {points[found.index(highest)]}, and tables hold "
                f"numbers up to {HIGHEST}",
                "Leave the instances that are synced to it out of the snapshot.",
            )
        return found


def labels_under(source: Transport, version: str, instance: Instance) -> LabelsUnder:
    """What lies under an instance. Raises ServerError."""
    synced = [found for name in instance.syncs if (found := read_instance(source, version, name)) is not None]
    names = [each.name for each in synced if each.typename == _TYPENAME]
    labels = Labelmap(source, names[0]) if names else None
    return LabelsUnder(labels, version, block_edge(synced))
