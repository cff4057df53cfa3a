"""The supervoxels under elements, by the labelmap to which their instance is synced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        labels: None if the instance is synced to no labelmap that is in the snapshot.
        edge: voxels along each side of a block of elements.
    """

    labels: Labelmap | None
    version: str
    edge: Point

    @property
    def name(self) -> str | None:
        """Of the labels."""
        return self.labels.name if self.labels is not None else None

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
                f"Name {self.labels.name} in `own` of this destination: the elements stay, without "
                f"supervoxels.",
            )
        return found


def labels_under(
    source: Transport, version: str, instance: Instance, followed: Mapping[str, Instance]
) -> LabelsUnder:
    """What lies under an instance. Raises ServerError.

    Args:
        followed: what is in the snapshot: of others the log is not read, so that supervoxels that are split
            would not show.
    """
    synced = [found for name in instance.syncs if (found := read_instance(source, version, name)) is not None]
    names = [each.name for each in synced if each.typename == _TYPENAME and each.name in followed]
    labels = Labelmap(source, names[0]) if names else None
    return LabelsUnder(labels, version, block_edge(synced))


def labelmaps_of(instance: Instance, followed: Mapping[str, Instance]) -> list[str]:
    """The labelmaps in the snapshot to which an instance is synced, by name."""
    return [name for name in instance.syncs if name in followed and followed[name].typename == _TYPENAME]
