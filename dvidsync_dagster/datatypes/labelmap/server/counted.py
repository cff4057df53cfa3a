"""A labelmap at a destination that counts the mutation ids which requests to it take.

See docs/dvid.md, "Mutation ids": each of these takes one, if it is done; none of the others does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dvidsync_dagster.dvid.labelmap import Labelmap


@dataclass(frozen=True, slots=True)
class CountedLabelmap(Labelmap):
    """Says so when an id was taken."""

    took_id: Callable[[], None]

    def merge(self, version: str, target: int, labels: Sequence[int], *, user: str, app: str) -> None:
        Labelmap.merge(self, version, target, labels, user=user, app=app)
        self.took_id()

    def cleave(self, version: str, label: int, supervoxels: Sequence[int], *, user: str, app: str) -> int:
        cleaved = Labelmap.cleave(self, version, label, supervoxels, user=user, app=app)
        self.took_id()
        return cleaved

    def renumber(self, version: str, new: int, orig: int, *, user: str, app: str) -> None:
        Labelmap.renumber(self, version, new, orig, user=user, app=app)
        self.took_id()

    def split_supervoxel(
        self, version: str, supervoxel: int, split: int, remain: int, volume: bytes, *, user: str, app: str
    ) -> None:
        Labelmap.split_supervoxel(self, version, supervoxel, split, remain, volume, user=user, app=app)
        self.took_id()
