"""The journal: every request that may have changed something, in order. Played back, it gives the same state.

A record is a header in JSON and the body as it came, each preceded by its length. It is written in one go, so
that a kill can at most leave the last record cut short, which counts as never received. Tokens are not
written: the header says whether the right one came with the request.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NAME = "journal"
_LENGTHS = struct.Struct("<II")
_WORTH_PACKING = 4096


@dataclass(frozen=True)
class Entry:
    """A request (or, with method START, the start of a process, whose settings are in `query`)."""

    method: str
    path: str
    query: dict[str, str]
    admin: bool
    nanoseconds: int
    seed: str
    tear_at: str | None = None


class Journal:
    """The journal of the server whose folder this is. Flushed to the operating system with each record."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / NAME
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)

    def append(self, entry: Entry, body: bytes) -> None:
        header = {key: value for key, value in vars(entry).items() if value is not None}
        if len(body) > _WORTH_PACKING:
            header["packed"] = True
            body = zlib.compress(body, 1)
        text = json.dumps(header).encode()  # a path can hold what is no UTF-8
        record = memoryview(_LENGTHS.pack(len(text), len(body)) + text + body)
        while record:
            record = record[os.write(self._file, record) :]

    def read(self) -> Iterator[tuple[Entry, bytes]]:
        """All entries with their bodies. Cuts off a last record that is not whole."""
        with self._path.open("rb") as file:
            size = self._path.stat().st_size
            whole = 0
            while size - whole >= _LENGTHS.size:
                header_length, body_length = _LENGTHS.unpack(file.read(_LENGTHS.size))
                end = whole + _LENGTHS.size + header_length + body_length
                if end > size:
                    break
                header = json.loads(file.read(header_length))
                body = file.read(body_length)
                if header.pop("packed", False):
                    body = zlib.decompress(body)
                yield Entry(**header), body
                whole = end
        os.truncate(self._file, whole)

    def close(self) -> None:
        os.close(self._file)
