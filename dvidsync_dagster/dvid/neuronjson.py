"""The neuronjson requests that a destination needs."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from google.protobuf.message import DecodeError

from dvidsync_dagster.dvid import protobuf
from dvidsync_dagster.dvid.paths import node_path
from dvidsync_dagster.dvid.refusal import check_no_key
from dvidsync_dagster.dvid.transport import BINARY, Query, Transport
from dvidsync_dagster.errors import RequestRefused, ServerFailed
from dvidsync_dagster.refusal_reason import RefusalReason

_JSON_SCHEMA = "json_schema"
_LIFTING = threading.Lock()
"""Or the schema that one request lifted would be taken for the one to restore by another."""


@dataclass(frozen=True, slots=True)
class Neuronjson:
    """One neuronjson instance of one server. Methods take the version's UUID first and raise what
    `Transport` raises. Records are JSON as the server wrote it, so that no number loses digits."""

    client: Transport
    name: str

    def records(self, version: str, bodies: Sequence[int]) -> dict[int, bytes]:
        """The records of those bodies that have one, with every field's ``_user`` and ``_time``. That a body
        has none, DVID must say of it alone: its lists can hold what is deleted (docs/dvid.md, "Lists of
        neurons")."""
        listed = self._listed(version, bodies)
        records = {body: value or self._record(version, body) for body, value in listed.items()}
        return {body: record for body, record in records.items() if record}

    def listed(self, version: str, bodies: Sequence[int]) -> dict[int, bytes]:
        """The same in one request, for those who need no proof that a body has none."""
        return {body: record for body, record in self._listed(version, bodies).items() if record}

    def _listed(self, version: str, bodies: Sequence[int]) -> dict[int, bytes]:
        path = node_path(version, self.name, "keyvalues")
        content = self.client.read(
            path, query={"show": "all"}, body=protobuf.keys([str(body) for body in bodies]), kind=BINARY
        )
        try:
            found = {int(key): value for key, value in protobuf.parse_key_values(content)}
        except (DecodeError, ValueError) as error:
            raise ServerFailed(f"GET {path}", f"is no protobuf of neurons: {error}") from error
        if found.keys() != set(bodies):
            raise ServerFailed(f"GET {path}", f"answered {len(found)} of {len(set(bodies))} neurons")
        return found

    def _record(self, version: str, body: int) -> bytes | None:
        try:
            return self.client.read(node_path(version, self.name, "key", body), query={"show": "all"})
        except RequestRefused as refusal:
            check_no_key(refusal)
            return None

    def replace(self, version: str, records: Sequence[tuple[int, bytes]]) -> None:
        """Write whole records in one request: fields that they do not have go, each given ``_user`` and
        ``_time`` is kept. If it is refused, those before the bad one are written.

        A JSON schema that refuses a record is lifted for a moment: another server has taken it, before there
        was a schema, or field by field. If this is interrupted, ``{}`` is left of the schema.
        """
        try:
            self._write(version, records)
        except RequestRefused as refusal:
            if refusal.reason is not RefusalReason.AGAINST_SCHEMA:
                raise
            with _LIFTING:
                schema = self.client.read_or_none(node_path(version, self.name, _JSON_SCHEMA))
                if schema is None:
                    raise
                self._set_json_schema(version, b"{}")
                try:
                    self._write(version, records)
                finally:
                    self._set_json_schema(version, schema)

    def _write(self, version: str, records: Sequence[tuple[int, bytes]]) -> None:
        """DVID stamps fields that come without; a second request takes those stamps away again."""
        self._post(version, records, {"replace": "true"})
        unstamped = [(body, bare) for body, record in records if (bare := _without_stamps(record))]
        if unstamped:
            self._post(version, unstamped, {})

    def _post(self, version: str, records: Sequence[tuple[int, bytes]], query: Query) -> None:
        self.client.change(
            "POST",
            node_path(version, self.name, "keyvalues"),
            query=query,
            body=protobuf.key_values([(str(body), record) for body, record in records]),
        )

    def _set_json_schema(self, version: str, schema: bytes) -> None:
        self.client.change("POST", node_path(version, self.name, _JSON_SCHEMA), body=schema)

    def delete(self, version: str, body: int) -> None:
        """A missing record is deleted without complaint."""
        self.client.change("DELETE", node_path(version, self.name, "key", body))

    def schema(self, version: str, kind: str) -> bytes | None:
        """A schema; None if there is none. Kinds are ``json_schema``, ``schema`` and ``schema_batch``."""
        return self.client.read_or_none(self._schema_path(version, kind)) or None

    def write_schema(self, version: str, kind: str, schema: bytes) -> None:
        self.client.change("POST", self._schema_path(version, kind), body=schema)

    def delete_schema(self, version: str, kind: str) -> None:
        self.client.change("DELETE", node_path(version, self.name, kind))

    def _schema_path(self, version: str, kind: str) -> str:
        parts = (kind,) if kind == _JSON_SCHEMA else ("key", kind)
        return node_path(version, self.name, *parts)


def _without_stamps(record: bytes) -> bytes | None:
    """The record with a null for each ``_user`` and ``_time`` that DVID adds and the record does not have;
    None if it adds none. Fields that were imported, or posted before there were stamps, have none."""
    fields: dict[str, Any] = orjson.loads(record)
    stamped = {field.removesuffix("_user").removesuffix("_time") for field in fields} - {"bodyid"}
    added = {field + end for field in stamped for end in ("_user", "_time")} - fields.keys()
    return orjson.dumps(fields | dict.fromkeys(added)) if added else None
