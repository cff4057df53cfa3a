"""Requests to a server, and the exchanges that they leave."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

OK = frozenset({200})
REFUSED = frozenset({400})

ANSWER_SECONDS = 120.0
CONNECTIONS = 64


@dataclass(frozen=True)
class Exchange:
    """One request and its answer.

    `path` holds the query, without tokens. `status` is None if no answer came. `started` and `ended` are
    seconds of one monotonic clock. `meant` tells whether the answer is the one that was wanted,
    which may be a refusal.
    """

    kind: str
    method: str
    path: str
    request: bytes
    status: int | None
    content_type: str | None
    response: bytes
    started: float
    ended: float
    meant: bool

    def json(self) -> Any:
        """The decoded answer."""
        return orjson.loads(self.response)

    def row(self) -> dict[str, Any]:
        """As one line of a recording: bytes that are no text become ``{"base64": …}``."""
        return {
            "method": self.method,
            "path": self.path,
            "request": _text(self.request),
            "status": self.status,
            "content_type": self.content_type,
            "response": _text(self.response),
        }

    def __str__(self) -> str:
        answer = self.response[:200].decode(errors="replace").strip()
        return f"{self.kind}: {self.method} {self.path} {self.request[:100]!r}: {self.status} {answer}"


def _text(content: bytes) -> str | dict[str, str]:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}


class _TokensTransport(httpx.BaseTransport):
    """Adds the tokens below the layer that logs URLs and puts them into exceptions."""

    def __init__(self, token: str | None, admin_token: str | None) -> None:
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        self._inner = httpx.HTTPTransport(limits=limits)
        self._token = token
        self._admin_token = admin_token

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        headers = request.headers.copy()
        url = request.url
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if self._admin_token and request.extensions.get("admin"):
            url = url.copy_merge_params({"admintoken": self._admin_token})
        told = httpx.Request(
            request.method, url, headers=headers, stream=request.stream, extensions=request.extensions
        )
        return self._inner.handle_request(told)

    def close(self) -> None:
        self._inner.close()


class Client:
    """One server, for use by several threads. Changes are kept in `exchanges`, in the order of their answers.

    Args:
        url: such as ``http://127.0.0.1:8000``.
        token: sent as ``Authorization: Bearer``.
        admin_token: sent as ``admintoken=`` with the requests that need it.
    """

    def __init__(self, url: str, *, token: str | None = None, admin_token: str | None = None) -> None:
        self.has_admin_token = bool(admin_token)
        self.exchanges: list[Exchange] = []
        self._kept = threading.Lock()
        self._http = httpx.Client(
            base_url=url, transport=_TokensTransport(token, admin_token), timeout=ANSWER_SECONDS
        )

    def close(self) -> None:
        self._http.close()

    def read(self, path: str, body: Any = None) -> bytes:
        """GET, not kept; `body` is sent as JSON.

        Raises:
            httpx.TransportError: no answer.
            httpx.HTTPStatusError: 4xx or 5xx.
        """
        answer = self._http.request("GET", path, content=None if body is None else orjson.dumps(body))
        answer.raise_for_status()
        return answer.content

    def read_json(self, path: str, body: Any = None) -> Any:
        """GET and decode JSON; None for an empty answer. Raises as `read`."""
        content = self.read(path, body)
        return orjson.loads(content) if content else None

    def change(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        query: Mapping[str, str] | None = None,
        kind: str = "",
        admin: bool = False,
        meant: frozenset[int] = OK,
    ) -> Exchange:
        """A request that changes something, or should be refused: sent once and kept.

        Raises:
            httpx.TransportError: no answer; the exchange is kept with status None.
        """
        request = self._http.build_request(
            method, path, params=dict(query or {}), content=body, extensions={"admin": admin}
        )
        shown = request.url.raw_path.decode("ascii")
        started = time.monotonic()
        status, content_type, content = None, None, b""
        try:
            answer = self._http.send(request)
            status, content_type, content = (
                answer.status_code,
                answer.headers.get("content-type"),
                answer.content,
            )
        finally:
            exchange = Exchange(
                kind=kind,
                method=method,
                path=shown,
                request=body,
                status=status,
                content_type=content_type,
                response=content,
                started=started,
                ended=time.monotonic(),
                meant=status in meant,
            )
            with self._kept:
                self.exchanges.append(exchange)
        return exchange
