"""The keyvalue requests that a destination needs.

A key is any bytes. Bytes that are no UTF-8 stand in a `str` as ``surrogateescape`` puts them there: such a
key is *raw*. DVID writes U+FFFD for each of them wherever it lists or announces keys, so a text with that
character is all that a message tells of a raw key; `written_as` finds the keys themselves.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import IO
from urllib.parse import quote

from google.protobuf.message import DecodeError

from dvidsync_dagster.dvid import protobuf
from dvidsync_dagster.dvid.paths import node_path
from dvidsync_dagster.dvid.patience import VALUE
from dvidsync_dagster.dvid.refusal import check_no_key
from dvidsync_dagster.dvid.transport import BINARY, Transport
from dvidsync_dagster.errors import RequestRefused, ServerFailed

UNREADABLE = "\ufffd"
"""What DVID writes for a byte that is no UTF-8 (or for this character itself)."""

_RAW = re.compile("[\udc80-\udcff]")
_IN_PATH = 4096
"""A longer key goes by a body where there is one. Servers and proxies differ in how long a path they take."""


def key_bytes(key: str) -> bytes:
    """The key as DVID stores it."""
    return key.encode("utf-8", "surrogateescape")


def is_raw(key: str) -> bool:
    """Whether it has bytes that are no UTF-8."""
    return _RAW.search(key) is not None


def fits_path(key: str) -> bool:
    """Whether the path of a request can name the key. Any other key is read and written in batches only."""
    return is_raw(key) or ("/" not in key and len(key) <= _IN_PATH)


def written(key: str) -> str:
    """The key as DVID lists and announces it."""
    return _RAW.sub(UNREADABLE, key)


@dataclass(frozen=True, slots=True)
class Keyvalue:
    """One keyvalue instance of one server. Methods take the version's UUID first and raise what `Transport`
    raises."""

    client: Transport
    name: str

    def values(self, version: str, keys: Sequence[str]) -> dict[str, bytes]:
        """The values of keys, in one request but for raw ones. Keys that are missing or whose value is empty
        are left out: these answers do not tell them apart, `exists` does."""
        found = {key: value for key in keys if is_raw(key) and (value := self.value(version, key))}
        plain = [key for key in keys if not is_raw(key)]
        if not plain:
            return found
        path = node_path(version, self.name, "keyvalues")
        content = self.client.read(path, body=protobuf.keys(plain), kind=BINARY)
        try:
            answered = dict(protobuf.parse_key_values(content))
        except DecodeError as error:
            raise ServerFailed(f"GET {path}", f"is no protobuf of key-values: {error}") from error
        if answered.keys() != set(plain):
            raise ServerFailed(f"GET {path}", f"answered {len(answered)} of {len(set(plain))} keys")
        return found | {key: value for key, value in answered.items() if value}

    def value(self, version: str, key: str) -> bytes | None:
        """One value; None if it is missing or empty."""
        if len(key) > _IN_PATH and not is_raw(key):
            return self.values(version, [key]).get(key)
        try:
            return self.client.read(self._key_path(version, key), kind=BINARY) or None
        except RequestRefused as refusal:
            check_no_key(refusal)
            return None

    def read_into(self, version: str, key: str, file: IO[bytes]) -> bool:
        """Append one value to a file, piece by piece; False if it is missing or empty."""
        try:
            with self.client.stream(self._key_path(version, key), limit=VALUE, kind=BINARY) as pieces:
                size = sum(file.write(piece) for piece in pieces)
        except RequestRefused as refusal:
            check_no_key(refusal)
            return False
        return size > 0

    def holds(self, version: str, key: str, file: IO[bytes]) -> bool:
        """Whether a value is the content of a file."""
        file.seek(0)
        try:
            with self.client.stream(self._key_path(version, key), limit=VALUE, kind=BINARY) as pieces:
                same = all(file.read(len(piece)) == piece for piece in pieces)
        except RequestRefused as refusal:
            check_no_key(refusal)
            return False
        return same and not file.read(1)

    def exists(self, version: str, key: str) -> bool:
        """Whether the key is there, with an empty value too: only a listing tells."""
        whole = "/" in key
        if whole:
            # Such keys come in batches only; no path can name them.
            path = node_path(version, self.name, "keys")
        else:
            path = self._range_path(version, "keyrange", key, key)
        listed = self._listed(path)
        if "/" not in key and not set(listed) <= {written(key)}:
            raise ServerFailed(f"GET {path}", f"lists other keys: {listed!r:.200}")
        return written(key) in listed

    def written_as(self, version: str, text: str) -> list[str]:
        """All keys that DVID writes as `text`, found by listings of ever smaller ranges."""
        found = []
        searches = [_Search(b"", text)]
        while searches:
            search = searches.pop()
            if UNREADABLE in search.rest:
                first, last = (search.known + end for end in search.span)
                if text in self._listed(self._range_path(version, "keyrange", _key(first), _key(last))):
                    searches += search.narrowed()
            else:
                key = _key(search.known + search.rest.encode())
                if written(key) == text and self.exists(version, key):
                    found.append(key)
        return sorted(set(found), key=key_bytes)

    def write_many(self, version: str, values: Sequence[tuple[str, bytes]]) -> None:
        """Write, in this order, in one request but for raw keys. If it is refused, some may be written."""
        plain = [(key, value) for key, value in values if not is_raw(key)]
        if plain:
            self.client.change(
                "POST", node_path(version, self.name, "keyvalues"), body=protobuf.key_values(plain)
            )
        for key, value in values:
            if is_raw(key):
                self.write(version, key, value)

    def write(self, version: str, key: str, value: bytes) -> None:
        if not fits_path(key):
            self.write_many(version, [(key, value)])
        else:
            self.client.change("POST", self._key_path(version, key), body=value)

    def write_from(self, version: str, key: str, file: IO[bytes]) -> None:
        """Write the content of a file. Raises ValueError for a key that comes in batches only."""
        if not fits_path(key):
            raise ValueError(f"{key!r:.100} fits no path")
        self.client.change("POST", self._key_path(version, key), body=file)

    def delete(self, version: str, key: str) -> None:
        """A missing key is deleted without complaint."""
        self.client.change("DELETE", self._key_path(version, key))

    def _key_path(self, version: str, key: str) -> str:
        return node_path(version, self.name, "key") + "/" + _quoted(key)

    def _range_path(self, version: str, endpoint: str, first: str, last: str) -> str:
        return node_path(version, self.name, endpoint) + f"/{_quoted(first)}/{_quoted(last)}"

    def _listed(self, path: str) -> list[str]:
        listed = self.client.read_json(path)
        if not isinstance(listed, list | None) or not all(isinstance(key, str) for key in listed or ()):
            raise ServerFailed(f"GET {path}", f"is no list of keys: {listed!r:.200}")
        return listed or []


@dataclass(frozen=True, slots=True)
class _Search:
    """A search for keys that begin with the bytes `known`.

    Args:
        rest: what DVID writes of the bytes after them.
        low, high: of the byte for the first U+FFFD in `rest`: no byte that is no UTF-8 is ASCII.
    """

    known: bytes
    rest: str
    low: int = 0x80
    high: int = 0xFF

    @property
    def _fixed(self) -> bytes:
        return self.rest[: self.rest.index(UNREADABLE)].encode()

    @property
    def span(self) -> tuple[bytes, bytes]:
        """The range to list, after `known`."""
        return self._fixed + bytes([self.low]), self._fixed + bytes([self.high]) + b"\xff" * 64

    def narrowed(self) -> list[_Search]:
        """The searches to go on with where there is such a key."""
        if self.low < self.high:
            middle = (self.low + self.high) // 2
            return [replace(self, high=middle), replace(self, low=middle + 1)]
        after = self.rest[len(self._fixed.decode()) + 1 :]
        known = self.known + self._fixed
        searches = [_Search(known + bytes([self.low]), after)]
        if UNREADABLE.encode()[0] == self.low:
            searches.append(_Search(known + UNREADABLE.encode(), after))
        return searches


def _key(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _quoted(key: str) -> str:
    # An unquoted . or .. would be taken for a step in the path.
    return quote(key, safe="", errors="surrogateescape") if key.strip(".") else "%2E" * len(key)
