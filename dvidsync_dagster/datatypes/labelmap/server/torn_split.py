"""A supervoxel split that a killed server left half done, and how it is taken back to be posted again.

See docs/dvid.md, "Torn operations". DVID writes the voxels block by block, then the mapping, the body's
index, and at last the lower resolutions. Killed in between, it refuses to do the split again, or says that it
is done while lower resolutions still show a supervoxel that no body has. Taking back goes the same way in
reverse, so that it can be interrupted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dvidsync_dagster.datatypes.labelmap.server.blocks_of import at_scale, points_of
from dvidsync_dagster.dvid import protobuf
from dvidsync_dagster.dvid.label_blocks import BlockPoint, LabelBlock
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.proto.labelmap_pb2 import LabelIndex


@dataclass(frozen=True, slots=True)
class TornSplit:
    """`supervoxel` of `body` became `split` and `remain`, perhaps not everywhere."""

    labelmap: Labelmap
    version: str
    body: int
    supervoxel: int
    split: int
    remain: int

    def is_torn(self) -> bool:
        """True if something of the split is done, and something is not."""
        index = self._index()
        points = self._points(index)
        if any(self.supervoxel in protobuf.counts_of(block) for block in index.blocks):
            begun = self.labelmap.mapping(self.version, [self.supervoxel]) == [0]
            return begun or self._show(points, 0, {self.split, self.remain})
        return any(
            self._show(points, scale, {self.supervoxel})
            for scale in range(1, self.labelmap.max_scale(self.version) + 1 if points else 1)
        )

    def take_back(self) -> None:
        """Make index, mapping and voxels what they were before. Nobody else may change voxels meanwhile."""
        index = self._index()
        points = self._points(index)
        for block in index.blocks:
            counts = protobuf.counts_of(block)
            voxels = sum(counts.pop(part, 0) for part in (self.split, self.remain))
            if voxels:
                counts[self.supervoxel] = counts.get(self.supervoxel, 0) + voxels
                protobuf.set_counts(block, counts)
        self.labelmap.put_index(self.version, index)
        self.labelmap.map_supervoxels(self.version, {self.body: [self.supervoxel]})
        whole = {self.split: self.supervoxel, self.remain: self.supervoxel}
        for blocks in self._blocks(points, 0):
            changed = [block.renamed(whole) for block in blocks if not whole.keys().isdisjoint(block.labels)]
            if changed:
                self.labelmap.put_blocks(self.version, changed)

    def _index(self) -> LabelIndex:
        return self.labelmap.index(self.version, self.body)

    def _points(self, index: LabelIndex) -> set[BlockPoint]:
        """The blocks in which the supervoxel lies, or lay."""
        return points_of([index], {self.supervoxel, self.split, self.remain})

    def _show(self, points: Iterable[BlockPoint], scale: int, labels: set[int]) -> bool:
        """Whether one of the supervoxels is there at a resolution."""
        return any(
            not labels.isdisjoint(block.labels) for blocks in self._blocks(points, scale) for block in blocks
        )

    def _blocks(self, points: Iterable[BlockPoint], scale: int) -> Iterator[list[LabelBlock]]:
        for some in at_scale(points, scale):
            yield self.labelmap.blocks(self.version, some, scale)
