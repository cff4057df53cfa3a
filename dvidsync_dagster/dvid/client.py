"""Requests to one DVID server.

Reads are repeated when the connection fails. A request that changes something never is: after a lost answer
nobody but the server knows whether it was done, so `AnswerLost` goes up to whoever can ask it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import orjson
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from dvidsync_dagster.dvid.long_url import address
from dvidsync_dagster.errors import AnswerLost, RequestRefused, ServerFailed, ServerUnreachable

Query = Mapping[str, str | int]

CONNECT_SECONDS = 10.0
# A merge of two large bodies can take minutes; giving up earlier would only lose the answer.
ANSWER_SECONDS = 900.0


class _SecretsTransport(httpx.BaseTransport):
    """Adds the tokens below the layer that logs requests and puts URLs into exceptions."""

    def __init__(self, inner: httpx.BaseTransport, token: str | None, admin_token: str | None) -> None:
        self._inner = inner
        self._token = token
        self._admin_token = admin_token

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        headers = request.headers.copy()
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        url, extensions = request.url, dict(request.extensions)
        if self._admin_token and extensions.get("dvid_admin"):
            if "target" in extensions:
                token = f"&{urlencode({'admintoken': self._admin_token})}"
                extensions["target"] += token.encode()
            else:
                url = url.copy_merge_params({"admintoken": self._admin_token})
        return self._inner.handle_request(
            httpx.Request(request.method, url, headers=headers, stream=request.stream, extensions=extensions)
        )

    def close(self) -> None:
        self._inner.close()


class DvidClient:
    """One DVID server, for use by several threads.

    Args:
        url: such as ``http://host:8000``.
        token: sent as ``Authorization: Bearer``.
        admin_token: sent as ``admintoken=`` with the calls that ask for it (`admin=True`).
        user, app: sent as ``u=`` and ``app=`` with every change that does not bring its own ("" sends none).
        reads_as: sent as ``u=`` with every read, for servers that log who reads.
        patience: for how many seconds a read is repeated while the server does not answer.

    `changes_sent` counts the requests that change something.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        admin_token: str | None = None,
        user: str = "dvidsync",
        app: str = "dvidsync",
        reads_as: str | None = None,
        connections: int = 16,
        patience: float = 20.0,
    ) -> None:
        self.url = url.rstrip("/")
        self.user = user
        self.app = app
        self._reads_as = reads_as
        self.has_admin_token = bool(admin_token)
        self._changes_lock = threading.Lock()
        self._thread = threading.local()
        self.changes_sent = 0
        limits = httpx.Limits(
            max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=5.0
        )
        self._http = httpx.Client(
            base_url=self.url,
            transport=_SecretsTransport(httpx.HTTPTransport(limits=limits), token, admin_token),
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
        )
        self._retry_reads = Retrying(
            retry=retry_if_exception_type((ServerUnreachable, _Unavailable)),
            wait=wait_exponential_jitter(multiplier=0.1, max=2.0),
            stop=stop_after_delay(patience),
            reraise=True,
        )

    def __enter__(self) -> DvidClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    # Reading

    def read(self, path: str, *, query: Query | None = None, body: bytes | None = None) -> bytes:
        """GET, repeated while the server does not answer.

        Raises:
            RequestRefused: 4xx.
            ServerUnreachable, ServerFailed: still no answer, or 5xx.
        """
        return self._retry_reads(self._get, path, query, body)

    def read_json(self, path: str, *, query: Query | None = None, body: Any = None) -> Any:
        """GET and decode JSON; `body` is sent as JSON (DVID takes bodies on GET)."""
        content = self.read(path, query=query, body=None if body is None else orjson.dumps(body))
        try:
            return json.loads(content)
        except ValueError as error:
            raise ServerFailed(f"GET {path}", f"answered no JSON but {content[:100]!r}") from error

    def read_or_none(self, path: str, *, query: Query | None = None) -> bytes | None:
        """GET; None for 404."""
        try:
            return self.read(path, query=query)
        except RequestRefused as refused:
            if refused.status == 404:
                return None
            raise

    @contextmanager
    def stream(
        self, path: str, *, query: Query | None = None, body: bytes | None = None
    ) -> Iterator[Iterator[bytes]]:
        """GET whose answer comes piece by piece. It is not repeated: whoever reads it begins anew.

        Raises:
            RequestRefused, ServerFailed: 4xx, 5xx.
            ServerUnreachable: no connection, or it broke while the answer was read.
        """
        to = address(self.url, "GET", path, query or {})
        try:
            with self._http.stream(
                "GET", to.path, params=dict(to.params), content=body, extensions=to.extensions
            ) as response:
                if response.status_code >= 400:
                    response.read()
                _raise_for_status(f"GET {path}", response)
                yield response.iter_bytes()
        except httpx.TransportError as error:
            raise ServerUnreachable(f"GET {self.url}{path}", _reason(error)) from None

    def _get(self, path: str, query: Query | None, body: bytes | None) -> bytes:
        params = {"u": self._reads_as, **(query or {})} if self._reads_as else dict(query or {})
        to = address(self.url, "GET", path, params)
        try:
            response = self._http.request(
                "GET", to.path, params=dict(to.params), content=body, extensions=to.extensions
            )
        except httpx.TransportError as error:
            raise ServerUnreachable(f"GET {self.url}{path}", _reason(error)) from None
        if response.status_code == 503:
            raise _Unavailable(f"GET {path}", "answered 503, too busy or going down")
        _raise_for_status(f"GET {path}", response)
        return response.content

    # Changing

    @contextmanager
    def as_administrator(self) -> Iterator[None]:
        """What this thread changes meanwhile, it changes with the admin token (if there is one)."""
        self._thread.administers = True
        try:
            yield
        finally:
            self._thread.administers = False

    def change(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: bytes = b"",
        user: str | None = None,
        app: str | None = None,
        admin: bool = False,
    ) -> bytes:
        """A request that changes something, sent once.

        Raises:
            RequestRefused: 4xx, nothing has changed (but a failed cleave has burned an id).
            ServerUnreachable: it was not sent.
            AnswerLost: it was sent, or may have been, and the answer never came.
            ServerFailed: 5xx; it may be done in part.
        """
        signature = {"u": self.user if user is None else user, "app": self.app if app is None else app}
        params = {name: value for name, value in signature.items() if value} | dict(query or {})
        request = f"{method} {path}"
        admin = admin or getattr(self._thread, "administers", False)
        to = address(self.url, method, path, params)
        extensions = to.extensions | ({"dvid_admin": True} if admin else {})
        with self._changes_lock:
            self.changes_sent += 1
        try:
            response = self._http.request(
                method, to.path, params=dict(to.params), content=body, extensions=extensions
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise ServerUnreachable(f"{method} {self.url}{path}", _reason(error)) from None
        except httpx.TransportError as error:
            raise AnswerLost(request, _reason(error)) from None
        _raise_for_status(request, response)
        return response.content

    def post_json(
        self, path: str, body: Any, *, user: str | None = None, app: str | None = None, admin: bool = False
    ) -> Any:
        """POST a JSON body; the decoded answer, None if it is empty or no JSON."""
        content = self.change(
            "POST", path, body=b"" if body is None else orjson.dumps(body), user=user, app=app, admin=admin
        )
        try:
            return json.loads(content) if content else None
        except ValueError:
            return None


class _Unavailable(ServerFailed):
    """503: worth another try for a read."""


def node_path(version: str, *parts: str | int) -> str:
    """``/api/node/VERSION/part/…`` with every part quoted."""
    return "/api/node/" + _quoted((version, *parts))


def repo_path(root: str, *parts: str | int) -> str:
    """``/api/repo/ROOT/part/…`` with every part quoted."""
    return "/api/repo/" + _quoted((root, *parts))


def _quoted(parts: Sequence[str | int]) -> str:
    return "/".join(quote(str(part), safe="") for part in parts)


_FAULTS = ("bad write of log", "append log", "file already closed")
"""What DVID answers with 400 though the request was good: it could not write its own mutation log, which
happens when somebody reads that log (`GET mutations`) at the same moment."""


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _raise_for_status(request: str, response: httpx.Response) -> None:
    if response.status_code < 400:
        return
    text = response.text
    if response.status_code < 500 and not any(fault in text for fault in _FAULTS):
        raise RequestRefused(request, response.status_code, text)
    raise ServerFailed(request, f"answered {response.status_code}: {text.strip()[:300]}")
