"""A server as if it had versions that are still to be made there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from dvidsync_dagster.dvid.paths import at_version
from dvidsync_dagster.dvid.patience import MANY, STREAMED
from dvidsync_dagster.dvid.transport import Body, Query, Transport


class WithUnmade:
    """A `Transport` that reads what a version will take over, and changes nothing.

    Args:
        client: of the server, open.
        shown_by: the version there that shows what another one will have.
    """

    has_admin_token = False
    changes_sent = 0

    def __init__(self, client: Transport, shown_by: Callable[[str], str]) -> None:
        self._client = client
        self._shown_by = shown_by

    @property
    def url(self) -> str:
        return self._client.url

    @property
    def user(self) -> str:
        return self._client.user

    @property
    def app(self) -> str:
        return self._client.app

    def read(
        self,
        path: str,
        *,
        query: Query | None = None,
        body: bytes | None = None,
        limit: int = MANY,
        kind: str | None = None,
    ) -> bytes:
        return self._client.read(self._there(path), query=query, body=body, limit=limit, kind=kind)

    def read_json(self, path: str, *, query: Query | None = None, body: Any = None, limit: int = MANY) -> Any:
        return self._client.read_json(self._there(path), query=query, body=body, limit=limit)

    def read_or_none(
        self, path: str, *, query: Query | None = None, limit: int = MANY, kind: str | None = None
    ) -> bytes | None:
        return self._client.read_or_none(self._there(path), query=query, limit=limit, kind=kind)

    def stream(
        self,
        path: str,
        *,
        query: Query | None = None,
        body: bytes | None = None,
        limit: int = STREAMED,
        kind: str | None = None,
    ) -> AbstractContextManager[Iterator[bytes]]:
        return self._client.stream(self._there(path), query=query, body=body, limit=limit, kind=kind)

    def change(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Body = b"",
        user: str | None = None,
        app: str | None = None,
        admin: bool = False,
    ) -> None:
        """Nothing."""

    def change_json(
        self,
        method: str,
        path: str,
        *fields: str,
        query: Query | None = None,
        body: bytes = b"",
        user: str | None = None,
        app: str | None = None,
        admin: bool = False,
    ) -> dict[str, Any]:
        raise TypeError(f"nothing is changed here, so nothing answers: {method} {path}")

    def as_administrator(self) -> AbstractContextManager[None]:
        return nullcontext()

    def _there(self, path: str) -> str:
        return at_version(path, self._shown_by)
