"""Labelmap instances: their state. The table at the end tells which module serves which endpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from dvid_sandbox import (
    coarse_volumes,
    label_blocks,
    label_counters,
    label_extents,
    label_reads,
    label_voxels,
    mutations,
    sparse_volumes,
    splits,
)
from dvid_sandbox.blocks import BlockPoint
from dvid_sandbox.counters import LabelCounters
from dvid_sandbox.exchange import Answer, Exchange, Lacking, Refused
from dvid_sandbox.indices import IndexStore, LabelIndex
from dvid_sandbox.instance import Instance, Place, Settings
from dvid_sandbox.repo import Repo
from dvid_sandbox.versioned import VersionedStore
from dvid_sandbox.voxels import Volume

Extents = tuple[BlockPoint, BlockPoint]
"""First and last voxel."""


class Labelmap(Instance):
    """State: voxels, indices, mapping (label by supervoxel, only where it was ever set), counters."""

    type_name: ClassVar[str] = "labelmap"
    compression: ClassVar[str] = "gzip"

    def __init__(
        self, repo: Repo, name: str, data_uuid: str, born_in: str, config: dict[str, str], settings: Settings
    ) -> None:
        config.setdefault("blocksize", "64,64,64")
        config.setdefault("compression", "gzip")
        self.edge = _edge(config["blocksize"])
        super().__init__(repo, name, data_uuid, born_in, config, settings)
        self.voxel_size = [float(each) for each in config.get("voxelsize", "8,8,8").split(",")]
        self.max_scale = int(config.get("maxdownreslevel", "0"))
        self.volume = Volume(repo.ancestry, self.edge)
        self._lower: dict[int, Volume] = {}
        self.indices = IndexStore(repo.ancestry)
        self.mapping: VersionedStore[int, int] = VersionedStore(repo.ancestry)
        self.splits: dict[int, list[tuple[int, int, int, int]]] = {}
        self.counters = LabelCounters(name, repo.ancestry)
        self._extents: VersionedStore[str, Extents] = VersionedStore(repo.ancestry)

    def serve(self, exchange: Exchange, place: Place) -> Answer:
        endpoint = exchange.parts[3]
        if exchange.method == "HEAD" and endpoint != "sparsevol":
            raise Refused(f"Unable to handle HTTP action HEAD on {endpoint} endpoint")
        handler = _ENDPOINTS.get(endpoint)
        if handler is None:
            return self.serve_common(exchange, place)
        return handler(self, exchange, place)

    def at_scale(self, scale: int) -> Volume:
        """The voxels at a resolution, each half of the one before; 0 is the highest."""
        if scale == 0:
            return self.volume
        return self._lower.setdefault(scale, Volume(self.repo.ancestry, self.edge))

    def put_index(self, version: int, index: LabelIndex) -> None:
        self.indices.put(version, index)
        self.counters.raise_max(version, index.label)

    def body_of(self, version: int, supervoxel: int) -> int:
        """The label that a supervoxel is mapped to; itself if nothing else was said.

        Raises:
            Refused: the supervoxel was split.
        """
        mapped = self.mapping.get(version, supervoxel)
        if mapped == 0:
            raise Refused(
                f"cannot get label for supervoxel {supervoxel}, "
                "which has been split and doesn't exist anymore"
            )
        return supervoxel if mapped is None else mapped

    def label_at(self, version: int, point: BlockPoint, scale: int = 0) -> int:
        """The body at a voxel (x, y, z)."""
        supervoxel = self.at_scale(scale).label_at(version, point)
        mapped = self.mapping.get(version, supervoxel)
        return supervoxel if mapped is None else mapped

    def index_for(self, version: int, label: int, is_supervoxel: bool) -> LabelIndex | None:
        return self.indices.get(version, self.body_of(version, label) if is_supervoxel else label)

    def extents(self, version: int) -> Extents | None:
        return self._extents.get(version, "")

    def set_extents(self, version: int, low: BlockPoint, high: BlockPoint) -> None:
        self._extents.put(version, "", (low, high))

    def widen(self, version: int, low: BlockPoint, high: BlockPoint) -> None:
        known = self.extents(version)
        if known is not None:
            (lx, ly, lz), (hx, hy, hz) = known
            low = min(low[0], lx), min(low[1], ly), min(low[2], lz)
            high = max(high[0], hx), max(high[1], hy), max(high[2], hz)
        self.set_extents(version, low, high)

    def properties(self, version: int) -> dict[str, Any]:
        low, high = self.extents(version) or (None, None)
        return {
            "Values": [{"DataType": "uint64", "Label": "labelmap"}],
            "Interpolable": False,
            "BlockSize": [self.edge] * 3,
            "VoxelSize": [int(each) if each.is_integer() else each for each in self.voxel_size],
            "VoxelUnits": self.config.get("voxelunits", "nanometers,nanometers,nanometers").split(","),
            "MinPoint": low,
            "MaxPoint": high,
            "MinIndex": None if low is None else [each // self.edge for each in low],
            "MaxIndex": None if high is None else [each // self.edge for each in high],
            "Background": 0,
            "GridStore": "",
            "ScaleLevel": 0,
        }

    def details(self, version: int) -> dict[str, Any]:
        low, high = self.extents(version) or (None, None)
        extended = {
            **self.properties(version),
            "MaxLabel": {
                str(version): label
                for version, label in sorted(self.counters.max_label.items(), key=lambda item: str(item[0]))
            },
            "MaxRepoLabel": self.counters.max_repo_label,
            "NextLabel": self.counters.next_label,
            "IndexedLabels": True,
            "MaxDownresLevel": self.max_scale,
        }
        return {"Extended": extended, "Extents": {"MinPoint": low, "MaxPoint": high}}


def _edge(size: str) -> int:
    """Voxels along the edge of blocks of ``x,y,z`` voxels."""
    try:
        x, y, z = (int(each) for each in size.split(","))
    except ValueError:
        raise Refused(f"bad BlockSize {size}") from None
    if any(each % 16 for each in (x, y, z)):
        raise Refused("BlockSize must be multiples of 16")
    if not x == y == z > 0:
        raise Lacking(f"blocks of {size} voxels, which are no cubes")
    return x


_ENDPOINTS: dict[str, Callable[[Labelmap, Exchange, Place], Answer]] = {
    "blocks": label_blocks.blocks,
    "cleave": mutations.cleave,
    "existing-labels": label_reads.existing_labels,
    "extents": label_extents.extents,
    "index": label_reads.index,
    "indices-compressed": label_reads.indices_compressed,
    "index-version": label_reads.index_version,
    "indices": label_reads.indices,
    "ingest-supervoxels": label_blocks.ingest_supervoxels,
    "label": label_voxels.label_at_point,
    "labels": label_voxels.labels_at_points,
    "lastmod": label_reads.lastmod,
    "listlabels": label_reads.listlabels,
    "mapping": label_reads.mapping,
    "mappings": label_reads.mappings,
    "maxlabel": label_counters.maxlabel,
    "merge": mutations.merge,
    "metadata": label_extents.metadata,
    "mutations": Labelmap.mutations,
    "nextlabel": label_counters.nextlabel,
    "raw": label_voxels.raw,
    "renumber": mutations.renumber,
    "resolution": label_extents.resolution,
    "set-nextlabel": label_counters.set_nextlabel,
    "size": label_reads.size,
    "sizes": label_reads.sizes,
    "sparsevol": sparse_volumes.sparsevol,
    "sparsevol-by-point": sparse_volumes.by_point,
    "sparsevol-coarse": coarse_volumes.sparsevol_coarse,
    "sparsevol-size": coarse_volumes.sparsevol_size,
    "sparsevols-coarse": coarse_volumes.sparsevols_coarse,
    "specificblocks": label_blocks.specific_blocks,
    "split": splits.split,
    "split-supervoxel": splits.split_supervoxel,
    "supervoxel-sizes": label_reads.supervoxel_sizes,
    "supervoxel-splits": label_reads.supervoxel_splits,
    "supervoxels": label_reads.supervoxels,
}
