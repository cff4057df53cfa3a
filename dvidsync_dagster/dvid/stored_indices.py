"""Indices as DVID stores them, each compressed by itself, in an answer to `indices-compressed`.

To unpack each by itself takes longer than to read it. A compressed index ends with plain bytes, and those
before could go on with a copy of what is there already: so many of them can be made one piece of LZ4, by what
is written over the header between two of them. It unpacks to all indices, with a mark between them. Where one
does not stand between its marks, they are unpacked one by one, which tells what is wrong.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from lz4.block import LZ4BlockError, decompress

from dvidsync_dagster.dvid.patience import VALUE
from dvidsync_dagster.dvid.protobuf_arrays import PADDING, Messages, joined
from dvidsync_dagster.errors import ServerFailed

_AT_ONCE = 8 << 20
"""Bytes of indices that are unpacked together, unless one alone has more."""

_HEADER = struct.Struct("<QQ")
"""Before each index: its bytes, its label."""

_STORED = struct.Struct("<BI")
"""Before what DVID keeps compressed: how, and its bytes when it is plain."""

_LZ4 = 4 << 5
"""LZ4, without a checksum."""

_BETWEEN = _HEADER.size + _STORED.size
_MARK = b"between indices"
_COPY = b"\1\0"
"""Four times the byte before: the least copy that LZ4 has."""
_COPIED = 4
_JOIN = np.frombuffer(_COPY + b"\xf0\0" + _MARK + _COPY, np.uint8)
"""What is written over what stands between: a copy, fifteen plain bytes, a copy."""
_JOINED = _COPIED + len(_MARK) + _COPIED
"""Bytes to which that unpacks."""


def each_index(content: bytes, path: str, labels: Sequence[int]) -> Iterator[bytes]:
    """The index of each label; an empty one where there is none.

    Args:
        path: that was asked.

    Raises:
        ServerFailed, struct.error, LZ4BlockError: the answer holds something else.
    """
    for place, label in zip(_places(content, path, labels), labels, strict=True):
        size, _ = _HEADER.unpack_from(content, place)
        start = place + _HEADER.size
        end = start + size
        if not size:
            yield b""
            continue
        compression, plain = _STORED.unpack_from(content, start)
        if compression != _LZ4 or plain > VALUE:
            kept = content[start : min(end, start + 16)]
            raise ServerFailed(
                f"GET {path}", f"has the index of label {label} kept in an unknown way: {kept!r}"
            )
        yield decompress(content[start + _STORED.size : end], uncompressed_size=plain)


def joined_indices(content: bytes, path: str, labels: Sequence[int]) -> Iterator[Messages]:
    """The same, some at a time. Errors as `each_index`."""
    places = np.fromiter(_places(content, path, labels), np.int64)
    ends = np.append(places[1:], len(content))
    sizes = _sizes(content, places, ends)
    if sizes is None:
        yield from _held_together(each_index(content, path, labels))
        return
    packed = np.frombuffer(bytearray(content), np.uint8)
    packed[places[:, None] + np.arange(_BETWEEN)] = _JOIN
    parts = np.flatnonzero(np.diff(np.cumsum(sizes) // _AT_ONCE)) + 1
    for first, after in pairwise([0, *parts.tolist(), len(places)]):
        start, end = places[first], ends[after - 1]
        part = _unpacked(packed[start + _BETWEEN : end], sizes[first:after])
        yield part or joined(list(each_index(content[start:end], path, labels[first:after])))


def _places(content: bytes, path: str, labels: Sequence[int]) -> Iterator[int]:
    """Where the header of each stands."""
    place = 0
    for label in labels:
        start = place + _HEADER.size
        if start > len(content):
            raise ServerFailed(f"GET {path}", f"ends before the index of label {label}")
        size, told = _HEADER.unpack_from(content, place)
        if told != label or start + size > len(content):
            raise ServerFailed(f"GET {path}", f"has something else in place of the index of label {label}")
        yield place
        place = start + size
    if place != len(content):
        raise ServerFailed(f"GET {path}", f"has {len(content) - place} bytes after its last index")


def _sizes(
    content: bytes, places: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64] | None:
    """Of the plain indices; None where they cannot be unpacked together."""
    if not len(places) or (ends - places).min() <= _BETWEEN:
        return None
    stored = np.frombuffer(content, np.uint8)[places[:, None] + np.arange(_HEADER.size, _BETWEEN)]
    sizes = stored[:, 1:].copy().view("<u4")[:, 0].astype(np.int64)
    return None if (stored[:, 0] != _LZ4).any() or sizes.max() > VALUE else sizes


def _unpacked(packed: npt.NDArray[np.uint8], sizes: npt.NDArray[np.int64]) -> Messages | None:
    """None where what was joined has not these sizes."""
    ends = np.cumsum(sizes + _JOINED) - _JOINED
    try:
        plain = decompress(packed, uncompressed_size=int(ends[-1]))
    except LZ4BlockError:
        return None
    if len(plain) != ends[-1]:
        return None
    content = np.frombuffer(plain + PADDING, np.uint8)
    marks = content[ends[:-1, None] + _COPIED + np.arange(len(_MARK))]
    if (marks != np.frombuffer(_MARK, np.uint8)).any():
        return None
    return Messages(content, np.arange(len(sizes)), ends - sizes, ends)


def _held_together(indices: Iterator[bytes]) -> Iterator[Messages]:
    held: list[bytes] = []
    size = 0
    for content in indices:
        held.append(content)
        size += len(content)
        if size >= _AT_ONCE:
            yield joined(held)
            held, size = [], 0
    yield joined(held)
