"""What a keyvalue instance of a server holds: its keys, and values that are read piece by piece."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from io import BytesIO
from itertools import groupby
from typing import IO, cast

import orjson

from dvidsync_dagster.differences.sides import DvidSide
from dvidsync_dagster.dvid.json_stream import list_items
from dvidsync_dagster.dvid.keyvalue import UNREADABLE, Keyvalue, is_raw
from dvidsync_dagster.dvid.paths import node_path
from dvidsync_dagster.dvid.transport import TAR
from dvidsync_dagster.errors import ServerFailed

KEYS_PER_REQUEST = 1000
_PIECE = 1 << 20


def read_keys(side: DvidSide) -> Iterator[str]:
    """All keys, raw ones last."""
    path = node_path(side.version, side.name, "keys")
    unreadable: set[str] = set()
    with side.client.stream(path) as pieces:
        for key in list_items(pieces, f"GET {path}"):
            if not isinstance(key, str):
                raise ServerFailed(f"GET {path}", f"lists {key!r}, which is no key")
            if UNREADABLE in key:
                unreadable.add(key)
            else:
                yield key
    for text in sorted(unreadable):
        yield from Keyvalue(side.client, side.name).written_as(side.version, text)


def read_values(side: DvidSide, keys: list[str]) -> Iterator[IO[bytes]]:
    """The values of keys, one after the other, each to be read before the next.

    A key that is gone by now looks like one with an empty value.
    """
    for fits, some in groupby(keys, _fits_in_tar):
        if fits:
            yield from _read_tar(side, list(some))
        else:
            odd = list(some)
            values = Keyvalue(side.client, side.name).values(side.version, odd)
            yield from (BytesIO(values.get(key, b"")) for key in odd)


def value_sizes(side: DvidSide, keys: list[str]) -> dict[str, int]:
    """By key, the bytes of its value, which is never held whole."""
    sizes: dict[str, int] = {}
    for start in range(0, len(keys), KEYS_PER_REQUEST):
        some = keys[start : start + KEYS_PER_REQUEST]
        for key, file in zip(some, read_values(side, some), strict=True):
            sizes[key] = _size_of(file)
    return sizes


def _fits_in_tar(key: str) -> bool:
    """DVID breaks off at a file that cannot have this name, or that would be a folder."""
    return "\0" not in key and not key.endswith("/") and not is_raw(key)


def _read_tar(side: DvidSide, keys: list[str]) -> Iterator[IO[bytes]]:
    path = node_path(side.version, side.name, "keyvalues")
    request = f"GET {path}"
    with side.client.stream(path, query={"jsontar": "true"}, body=orjson.dumps(keys), kind=TAR) as pieces:
        count = 0
        try:
            with tarfile.open(fileobj=cast(IO[bytes], _Pieces(pieces)), mode="r|") as archive:
                for member in archive:
                    file = archive.extractfile(member)
                    if file is None:
                        raise ServerFailed(request, f"{member.name!r} is no value")
                    count += 1
                    yield file
        except tarfile.TarError as error:
            raise ServerFailed(request, f"is no tar file: {error}") from error
        if count != len(keys):
            raise ServerFailed(request, f"has {count} values for {len(keys)} keys")


def _size_of(file: IO[bytes]) -> int:
    return sum(map(len, iter(lambda: file.read(_PIECE), b"")))


class _Pieces:
    """Pieces of bytes as a file that can be read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def read(self, size: int) -> bytes:
        parts = [self._rest]
        have = len(self._rest)
        while have < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            parts.append(piece)
            have += len(piece)
        whole = b"".join(parts)
        self._rest = whole[size:]
        return whole[:size]
