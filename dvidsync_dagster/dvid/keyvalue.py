"""The keyvalue requests that a copy needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from google.protobuf.message import DecodeError

from dvidsync_dagster.dvid import protobuf
from dvidsync_dagster.dvid.client import DvidClient, node_path
from dvidsync_dagster.errors import ServerFailed


@dataclass(frozen=True, slots=True)
class Keyvalue:
    """One keyvalue instance of one server. Methods take the version's UUID first and raise what `DvidClient`
    raises."""

    client: DvidClient
    name: str

    def values(self, version: str, keys: Sequence[str]) -> dict[str, bytes]:
        """The values of keys in one request. Keys that are missing or whose value is empty are left out: this
        answer does not tell them apart, `exists` does."""
        path = node_path(version, self.name, "keyvalues")
        content = self.client.read(path, body=protobuf.keys(keys))
        try:
            return {key: value for key, value in protobuf.parse_key_values(content) if value}
        except DecodeError as error:
            raise ServerFailed(f"GET {path}", f"is no protobuf of key-values: {error}") from error

    def value(self, version: str, key: str) -> bytes | None:
        """One value; None if it is missing or empty."""
        return self.client.read_or_none(self._key_path(version, key)) or None

    def exists(self, version: str, key: str) -> bool:
        """Whether the key is there, with an empty value too: only a listing tells."""
        if "/" in key:
            # Such keys come in batches only; no path can name them.
            path = node_path(version, self.name, "keys")
        else:
            path = node_path(version, self.name, "keyrange") + f"/{_quoted(key)}/{_quoted(key)}"
        listed = self.client.read_json(path)
        if not isinstance(listed, list | None):
            raise ServerFailed(f"GET {path}", "is no list of keys")
        return key in (listed or ())

    def write_many(self, version: str, values: Sequence[tuple[str, bytes]]) -> None:
        """Write in one request, in this order. If it is refused, some may be written."""
        self.client.change(
            "POST", node_path(version, self.name, "keyvalues"), body=protobuf.key_values(values)
        )

    def write(self, version: str, key: str, value: bytes) -> None:
        if "/" in key:
            self.write_many(version, [(key, value)])
        else:
            self.client.change("POST", self._key_path(version, key), body=value)

    def delete(self, version: str, key: str) -> None:
        """A missing key is deleted without complaint."""
        self.client.change("DELETE", self._key_path(version, key))

    def _key_path(self, version: str, key: str) -> str:
        return node_path(version, self.name, "key") + "/" + _quoted(key)


def _quoted(key: str) -> str:
    # An unquoted . or .. would be taken for a step in the path.
    return quote(key, safe="") if key.strip(".") else "%2E" * len(key)
