"""Parts of a value: ``byte_start`` and ``byte_end``, and the header ``Range``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dvid_sandbox.exchange import TEXT, Answer, Exchange, Refused
from dvid_sandbox.golang import go_quote


@dataclass(frozen=True)
class ByteRange:
    """Bytes from `start` to `end`, both included, of the value of `key`."""

    key: str
    start: int
    end: int

    def __post_init__(self) -> None:
        if self.start > self.end:
            raise Refused(
                f"byte_start {self.start} must be <= byte_end {self.end} for key {go_quote(self.key)}"
            )

    def of(self, value: bytes) -> bytes:
        """Raises:
        Refused: the value is too short.
        """
        for name, place in (("byte_start", self.start), ("byte_end", self.end)):
            if place >= len(value):
                raise Refused(
                    f"{name} {place} is outside value for key {go_quote(self.key)} with {len(value)} bytes"
                )
        return value[self.start : self.end + 1]


def from_pair(key: str, start: Any, end: Any) -> ByteRange | None:
    """A range of two numbers, or None if there is neither.

    Raises:
        Refused: there is one only, or one is no number.
    """
    if start is None and end is None:
        return None
    if start is None or end is None:
        raise Refused(f"range read for key {go_quote(key)} requires both byte_start and byte_end")
    return ByteRange(key, _number("byte_start", str(start)), _number("byte_end", str(end)))


def answer(exchange: Exchange, key: str, value: bytes) -> Answer:
    """A value, or the part of it that the request asks for."""
    wanted = from_pair(key, exchange.query.get("byte_start"), exchange.query.get("byte_end"))
    header = exchange.headers.get("range", "")
    if header and wanted is not None:
        raise Refused("cannot combine Range header with byte_start/byte_end query parameters")
    part = _from_header(header, key, len(value)) if header else None
    if isinstance(part, Answer):
        return part
    result = Answer.binary(value if wanted is None else wanted.of(value))
    result.headers["accept-ranges"] = "bytes"
    if part is not None:
        result.status = 206
        result.body = part.of(value)
        result.headers["content-range"] = f"bytes {part.start}-{part.end}/{len(value)}"
    return result


def _from_header(header: str, key: str, length: int) -> ByteRange | Answer | None:
    """The range, or the answer to one that cannot be satisfied; None where DVID ignores the header."""
    first, dash, last = (each.strip() for each in header.removeprefix("bytes=").partition("-"))
    if not header.startswith("bytes=") or not dash or "," in header or not (first or last):
        return None
    if any(each and not (each.isascii() and each.isdigit()) for each in (first, last)):
        return None
    if not first:
        count = int(last)
        if count == 0:
            return _not_satisfiable(f'Range "{header}" is not satisfiable', length)
        return ByteRange(key, max(length - count, 0), length - 1)
    start, end = int(first), min(int(last or length), length - 1)
    if start >= length:
        return _not_satisfiable(f"Range start {start} is outside value with {length} bytes", length)
    if last and start > int(last):
        return None
    return ByteRange(key, start, end)


def _not_satisfiable(text: str, length: int) -> Answer:
    return Answer(416, TEXT, f"{text}\n".encode(), {"content-range": f"bytes */{length}"})


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 2**64):
        raise Refused(f"{name} must be an unsigned integer, got {go_quote(text)}")
    return int(text)
