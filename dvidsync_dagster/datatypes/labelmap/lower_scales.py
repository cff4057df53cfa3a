"""The lower resolutions of a labelmap: which supervoxels are where, block by block.

They are derived from the highest, and a server that was told so (`downres=false`) has not derived them. To
compare them takes all their voxels: an eighth of the volume's for the first, and so on.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dvidsync_dagster.differences.digest import Page, named
from dvidsync_dagster.differences.hashes import hashed
from dvidsync_dagster.differences.items import Found, ServerPair, find_all, gathered, side_by_side, sifted
from dvidsync_dagster.differences.sides import DvidSide, Kind
from dvidsync_dagster.dvid.paths import node_path
from dvidsync_dagster.dvid.transport import BINARY
from dvidsync_dagster.errors import ServerFailed

Point = tuple[int, int, int]
"""x, y, z."""

_PREFIX = struct.Struct("<4i")


@dataclass(frozen=True, slots=True)
class Volume:
    """Where an instance has voxels: corners in voxels of the highest resolution, and its block's edges."""

    low: Point
    high: Point
    block: Point
    scales: int

    def blocks(self, scale: int) -> tuple[Point, Point]:
        """The first and the last block at a resolution."""
        first, last = (
            tuple(each // (edge << scale) for each, edge in zip(corner, self.block, strict=True))
            for corner in (self.low, self.high)
        )
        return (first[0], first[1], first[2]), (last[0], last[1], last[2])


def compare_lower_scales(pair: ServerPair) -> tuple[list[Found], int]:
    """What differs in one version at resolutions below the highest, and how many blocks the source has."""
    here, there = side_by_side(_volume, pair.source, pair.destination)
    if here is None or there is None:
        return [], 0
    scales = range(1, min(here.scales, there.scales) + 1)
    return gathered(_differing(pair, here, there, scale) for scale in scales)


def _differing(pair: ServerPair, here: Volume, there: Volume, scale: int) -> tuple[Found | None, int]:
    whole = replace(
        here,
        low=_corner(min, here.low, there.low),
        high=_corner(max, here.high, there.high),
    )
    kind = Kind(
        f"blocks at scale {scale}",
        f"blocks with other supervoxels at scale {scale}",
        lambda side, _wanted: _block_pages(side, whole, scale),
        is_derived=True,
    )
    found, count = find_all(kind, pair)
    if found is None:
        return None, count
    # Blocks of the same voxels can be stored in several ways.
    both = found.at_source & found.at_destination
    other = np.fromiter(
        (not twice or _differ(pair, whole, key, scale) for key, twice in zip(found.keys, both, strict=True)),
        bool,
        len(found),
    )
    return sifted(found.only(other), pair), count


def _differ(pair: ServerPair, volume: Volume, block: Point, scale: int) -> bool:
    offset = "_".join(str(each * edge) for each, edge in zip(block, volume.block, strict=True))
    size = "_".join(map(str, volume.block))
    query: dict[str, str | int] = {"scale": scale, "supervoxels": "true"}

    def voxels(side: DvidSide) -> int:
        path = node_path(side.version, side.name, "raw", "0_1_2", size, offset)
        with side.client.stream(path, query=query, kind=BINARY) as pieces:
            return hashed(b"".join(pieces))

    here, there = side_by_side(voxels, pair.source, pair.destination)
    return here != there


def _volume(side: DvidSide) -> Volume | None:
    path = node_path(side.version, side.name, "info")
    info = side.client.read_json(path)
    try:
        told = info["Extended"]
        if told["MinPoint"] is None or told["MaxPoint"] is None:
            return None
        scales = int(told["MaxDownresLevel"])
        return Volume(_point(told["MinPoint"]), _point(told["MaxPoint"]), _point(told["BlockSize"]), scales)
    except (KeyError, TypeError, ValueError) as error:
        raise ServerFailed(f"GET {path}", f"does not say where the voxels are: {error!r}") from error


def _point(given: Any) -> Point:
    x, y, z = (int(each) for each in given)
    return x, y, z


def _corner(choose: Any, one: Point, other: Point) -> Point:
    return _point(choose(pair) for pair in zip(one, other, strict=True))


def _block_pages(side: DvidSide, volume: Volume, scale: int) -> Iterator[Page]:
    """Blocks with hashes of what is stored, a layer of them at a time."""
    first, last = volume.blocks(scale)
    edge = volume.block
    size = [(last[axis] - first[axis] + 1) * edge[axis] for axis in (0, 1)]
    query: dict[str, str | int] = {"scale": scale, "supervoxels": "true", "compression": "blocks"}
    for layer in range(first[2], last[2] + 1):
        path = node_path(
            side.version,
            side.name,
            "blocks",
            f"{size[0]}_{size[1]}_{edge[2]}",
            f"{first[0] * edge[0]}_{first[1] * edge[1]}_{layer * edge[2]}",
        )
        points: list[Point] = []
        values: list[int] = []
        for point, content in _blocks(side, path, query):
            points.append(point)
            values.append(hashed(content))
        yield named(points, (b"%d,%d,%d" % point for point in points), values)


def _blocks(side: DvidSide, path: str, query: dict[str, str | int]) -> Iterator[tuple[Point, bytes]]:
    kept = bytearray()
    try:
        with side.client.stream(path, query=query, kind=BINARY) as pieces:
            for piece in pieces:
                kept += piece
                while len(kept) >= _PREFIX.size:
                    x, y, z, size = _PREFIX.unpack_from(kept)
                    end = _PREFIX.size + size
                    if size < 0 or len(kept) < end:
                        break
                    yield (x, y, z), gzip.decompress(kept[_PREFIX.size : end])
                    del kept[:end]
    except (EOFError, OSError, zlib.error) as error:
        raise ServerFailed(f"GET {path}", f"answered no blocks of labels: {error!r}") from error
    if kept:
        raise ServerFailed(f"GET {path}", f"ends in the middle of a block: {bytes(kept[-100:])!r}")
