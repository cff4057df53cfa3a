"""Kafka's packed batches, unpacked only as far as a limit."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable
from typing import Any

import zstandard
from kafka import codec as codecs
from kafka.errors import CorruptRecordError, UnsupportedCodecError
from lz4.frame import LZ4FrameFile
from snappy import UncompressError

_GZIP, _SNAPPY, _LZ4, _ZSTD = 1, 2, 3, 4
_AT_MOST = {_GZIP: 1040, _SNAPPY: 24, _LZ4: 256, _ZSTD: 40_000}
"""So many times larger than what is packed nothing can be."""
_WHOLE: dict[int, Callable[[bytes], bytes]] = {
    _GZIP: codecs.gzip_decode,
    _SNAPPY: codecs.snappy_decode,
    _LZ4: codecs.lz4_decode,
    _ZSTD: codecs.zstd_decode,
}
_IN_PIECES: dict[int, Callable[[bytes], Any]] = {
    _GZIP: lambda packed: gzip.GzipFile(fileobj=io.BytesIO(packed)),
    _LZ4: lambda packed: LZ4FrameFile(io.BytesIO(packed)),
    _ZSTD: lambda packed: zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True),
}
_PIECE = 1 << 20
_DAMAGED = (EOFError, OSError, RuntimeError, ValueError, zlib.error, zstandard.ZstdError, UncompressError)


def unpacked_up_to(limit: int, codec: int, packed: bytes) -> bytes | None:
    """What is packed in a batch; None if it is more than `limit` bytes.

    Args:
        codec: Kafka's number of how it is packed.

    Raises:
        CorruptRecordError: it is not packed in this way.
        UnsupportedCodecError: nobody knows this number.
    """
    if codec not in _WHOLE:
        raise UnsupportedCodecError(f"a batch is packed in a way of which only the number, {codec}, is known")
    try:
        # What comes in pieces takes four times as long.
        if len(packed) * _AT_MOST[codec] <= limit or codec not in _IN_PIECES:
            unpacked = _WHOLE[codec](packed)
        else:
            unpacked = _in_pieces(limit, _IN_PIECES[codec](packed))
    except _DAMAGED as error:
        raise CorruptRecordError(f"a batch cannot be unpacked: {error!r}") from None
    return unpacked if len(unpacked) <= limit else None


def _in_pieces(limit: int, source: Any) -> bytes:
    """What is read, until it is more than the limit."""
    unpacked = bytearray()
    with source:
        while len(unpacked) <= limit and (piece := source.read(_PIECE)):
            unpacked += piece
    return bytes(unpacked)
