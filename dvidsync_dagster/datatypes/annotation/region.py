"""Elements of one server, read block by block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field

from dvidsync_dagster.dvid.annotation import Annotation, Element, Point, position
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.errors import ServerFailed

_BLOCKS_AT_ONCE = 16
_EDGE = 64


def block_edge(synced: Iterable[Instance]) -> Point:
    """Voxels along each side of an instance's blocks: they are as large as those of the labels by which it
    sorts its elements."""
    edge: Point = (_EDGE,) * 3
    for labels in synced:
        size = labels.settings.get("BlockSize")
        if isinstance(size, list) and len(size) == 3 and all(type(n) is int and n > 0 for n in size):
            edge = (size[0], size[1], size[2])
    return edge


def block_of(point: Point, edge: Point) -> Point:
    """The block that holds a point."""
    return point[0] // edge[0], point[1] // edge[1], point[2] // edge[2]


@dataclass(slots=True)
class Region:
    """What an instance has at a version in the blocks that were read.

    Args:
        edge: voxels along each side of a block.
        pool: reads several blocks at a time.
    """

    annotation: Annotation
    version: str
    edge: Point
    pool: Executor
    _blocks: dict[Point, dict[Point, list[Element]]] = field(default_factory=dict)

    def block_of(self, point: Point) -> Point:
        return block_of(point, self.edge)

    def read(self, blocks: Iterable[Point]) -> None:
        """Read blocks that have not been read; neighbours along x in one request."""
        wanted = sorted(set(blocks) - self._blocks.keys(), key=lambda block: (block[2], block[1], block[0]))
        for block in wanted:
            self._blocks[block] = {}
        for found in self.pool.map(self._row, _rows(wanted)):
            for element in found:
                try:
                    point = position(element)
                except ValueError as error:
                    where = f"GET elements of {self.annotation.name}"
                    raise ServerFailed(where, f"holds an element without position: {error}") from None
                self._blocks[self.block_of(point)].setdefault(point, []).append(element)

    def _row(self, row: tuple[Point, int]) -> list[Element]:
        (x, y, z), count = row
        wide, high, deep = self.edge
        return self.annotation.elements(
            self.version, (x * wide, y * high, z * deep), (count * wide, high, deep)
        )

    def at(self, point: Point) -> list[Element]:
        """The elements at a point; nothing if its block was not read. DVID can hold several at one point."""
        return self._blocks.get(self.block_of(point), {}).get(point, [])

    def points_in(self, block: Point) -> Iterable[Point]:
        return self._blocks.get(block, {}).keys()

    def everything(self) -> Iterator[tuple[Point, list[Element]]]:
        """All points that were read, with their elements."""
        for block in self._blocks.values():
            yield from block.items()


def _rows(blocks: list[Point]) -> list[tuple[Point, int]]:
    """Runs of neighbours along x: the first block and how many."""
    rows: list[tuple[Point, int]] = []
    for x, y, z in blocks:
        if rows:
            (first, row_y, row_z), count = rows[-1]
            if (row_y, row_z) == (y, z) and first + count == x and count < _BLOCKS_AT_ONCE:
                rows[-1] = ((first, row_y, row_z), count + 1)
                continue
        rows.append(((x, y, z), 1))
    return rows
