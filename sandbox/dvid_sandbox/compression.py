"""The compressions that a request can ask for, or bring."""

from __future__ import annotations

import zlib

import lz4.block

from dvid_sandbox.exchange import Lacking, Refused

_GZIP = 31


def compress(kind: str, content: bytes) -> bytes:
    """Content as ``compression=`` wants it.

    Raises:
        Refused: there is no such compression.
    """
    match kind:
        case "":
            return content
        case "gzip":
            return zlib.compress(content, wbits=_GZIP)
        case "lz4":
            return bytes(lz4.block.compress(content, store_size=False))
        case "google" | "googlegzip":
            raise Lacking(f"the compression {kind}")
    raise Refused(f'unknown compression type "{kind}"')


def uncompress(kind: str, content: bytes, size: int) -> bytes:
    """What came compressed; `size` in bytes is what it should be.

    Raises:
        Refused: there is no such compression, or the content is not compressed so.
    """
    try:
        match kind:
            case "":
                return content
            case "gzip":
                return zlib.decompress(content, wbits=_GZIP)
            case "lz4":
                return bytes(lz4.block.decompress(content, uncompressed_size=size))
    except zlib.error as error:
        raise Refused(f"gzip: invalid header ({error})") from None
    except lz4.block.LZ4BlockError as error:
        raise Refused(f"error decompressing lz4: {error}") from None
    raise Refused(f'unknown compression type "{kind}"')
