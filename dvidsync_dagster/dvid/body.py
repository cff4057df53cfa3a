"""The body of an answer, taken in only as far as its limit."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from dvidsync_dagster.dvid.answer import Asked
from dvidsync_dagster.dvid.patience import MIB, REFUSAL
from dvidsync_dagster.dvid.transport import NO_TEXT
from dvidsync_dagster.dvid.wire import Response
from dvidsync_dagster.errors import AnswerTooLong
from dvidsync_dagster.outgoing_text import escaped

_ENCODINGS = ("", "identity", "gzip")


def check_kind(asked: Asked, response: Response, kind: str | None) -> None:
    """Raises NotDvid if the content type is not the one that DVID gives this answer."""
    found = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == NO_TEXT:
        empty = response.headers.get("content-length") == "0"
        wrong = found.startswith("text/") or not (found or empty)
    else:
        wrong = found != kind
    if kind is not None and wrong:
        raise asked.not_dvid(
            f"answered {escaped(found, 100) or 'without a content type'}, where DVID answers {kind}: "
            f"something before it answers in its place. Check {asked.field('url')}, and what stands before it"
        )


def check_encoding(asked: Asked, response: Response) -> None:
    """Raises NotDvid for an encoding that was not asked for."""
    # What is packed twice, or by something stronger, can unpack to anything before it can be counted.
    found = response.headers.get("content-encoding", "").strip().lower()
    if found not in _ENCODINGS:
        raise asked.not_dvid(f"answered in {escaped(found, 100)}, which was not asked for")


def pieces(asked: Asked, response: Response, limit: int) -> Iterator[bytes]:
    """The body, unpacked, as it comes. Raises AnswerTooLong beyond the limit."""

    def too_long() -> AnswerTooLong:
        return AnswerTooLong(
            str(asked),
            f"{asked.server} answers with more than {limit:,} bytes, which is more than this can be. Check "
            f"the proxy or gateway before it",
            perhaps_done=asked.changes,
        )

    announced = response.headers.get("content-length", "")
    if announced.isdigit() and len(announced) < 30 and int(announced) > limit:
        raise too_long()
    size = 0
    for piece in _unpacked(asked, response):
        size += len(piece)
        if size > limit:
            raise too_long()
        yield piece


def _unpacked(asked: Asked, response: Response) -> Iterator[bytes]:
    """No piece is unpacked whole, which can be a thousand times as large."""
    if response.headers.get("content-encoding", "").strip().lower() != "gzip":
        yield from response.pieces
        return
    packed, empty = zlib.decompressobj(zlib.MAX_WBITS | 16), True
    try:
        for piece in response.pieces:
            empty, rest = False, piece
            while rest:
                yield packed.decompress(rest, MIB)
                rest = packed.unconsumed_tail
        yield packed.flush()
    except zlib.error as error:
        raise asked.not_dvid(f"answered what is not gzip, as it says: {error}") from None
    if not (packed.eof or empty):
        raise asked.not_dvid("answered gzip that breaks off")


def beginning(asked: Asked, response: Response) -> bytes:
    """As much of the body as a message or a test of it can need."""
    found = bytearray()
    for piece in _unpacked(asked, response):
        found += piece
        if len(found) >= REFUSAL:
            break
    return bytes(found[:REFUSAL])
