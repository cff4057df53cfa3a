"""Blocks of labels as DVID stores them, as far as their label tables.

A stream of blocks is, for each, its coordinates x, y, z and its size (int32, little-endian), then as many
bytes: gzip of three uint32, the number of labels as uint32, the labels as uint64, and what voxel has which.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dvidsync_dagster.errors import ServerFailed

BlockPoint = tuple[int, int, int]
"""Block coordinates x, y, z."""

_PREFIX = struct.Struct("<4i")
_HEADER = struct.Struct("<4I")


@dataclass(frozen=True, slots=True)
class LabelBlock:
    """One block; `content` as it is inside the gzip."""

    point: BlockPoint
    content: bytes

    @property
    def labels(self) -> tuple[int, ...]:
        """Its label table. A label can stand there more than once."""
        import numpy as np  # only the mending of a split needs it

        count = _HEADER.unpack_from(self.content)[3]
        return tuple(np.frombuffer(self.content, "<u8", count, _HEADER.size).tolist())

    def renamed(self, names: Mapping[int, int]) -> LabelBlock:
        """The block with other labels in the place of some."""
        import numpy as np

        labels = np.array([names.get(label, label) for label in self.labels], "<u8").tobytes()
        rest = self.content[_HEADER.size + len(labels) :]
        return LabelBlock(self.point, self.content[: _HEADER.size] + labels + rest)

    def encoded(self) -> bytes:
        compressed = gzip.compress(self.content)
        return _PREFIX.pack(*self.point, len(compressed)) + compressed


def parse_blocks(stream: bytes, where: str) -> Iterator[LabelBlock]:
    """Raises ServerFailed if the bytes are no blocks."""
    start = 0
    try:
        while start < len(stream):
            x, y, z, size = _PREFIX.unpack_from(stream, start)
            start += _PREFIX.size
            block = LabelBlock((x, y, z), gzip.decompress(stream[start : start + size]))
            start += size
            _ = block.labels
            yield block
    except (struct.error, EOFError, OSError, ValueError, zlib.error) as error:
        raise ServerFailed(where, f"answered no blocks of labels: {error!r}") from error


def decode_point(number: int) -> BlockPoint:
    """A block's number in a label index: 21 bits each of z, y, x, the highest of the 21 being the sign."""
    x, y, z = ((number >> shift) & 0x1FFFFF for shift in (0, 21, 42))
    return _signed(x), _signed(y), _signed(z)


def _signed(part: int) -> int:
    return -(part & 0xFFFFF) if part & 0x100000 else part
