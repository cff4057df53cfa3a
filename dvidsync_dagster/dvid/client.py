"""Requests to one DVID server.

Reads are repeated when the connection fails or a gateway answers. A request that changes something is not:
after a lost answer nobody but the server knows whether it was done, so `AnswerLost` goes up to whoever can
ask it. Only where a server says that it did not even look at the request, it is sent again.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import IO, Any
from urllib.parse import quote

import httpx
import orjson

from dvidsync_dagster.dvid.again import is_busy, is_passing, retrying
from dvidsync_dagster.dvid.answer import Asked, raise_for
from dvidsync_dagster.dvid.body import beginning, check_encoding, check_kind, pieces
from dvidsync_dagster.dvid.long_url import address
from dvidsync_dagster.dvid.patience import FEW, MANY, STREAMED, Patience
from dvidsync_dagster.dvid.wire import Wait, Wire
from dvidsync_dagster.errors import AnswerLost, RequestRefused, ServerUnreachable
from dvidsync_dagster.outgoing_text import escaped, keep_secret

Query = Mapping[str, str | int]
Body = bytes | IO[bytes]

logger = logging.getLogger(__name__)


class DvidClient:
    """One DVID server, for use by several threads.

    Args:
        url: such as ``http://host:8000``.
        place: its part of the configuration, such as ``destinations[copy]``, for messages.
        token: sent as ``Authorization: Bearer``.
        admin_token: sent as ``admintoken=`` with the calls that ask for it (`admin=True`).
        user, app: sent as ``u=`` and ``app=`` with every change that does not bring its own ("" sends none).
        reads_as: sent as ``u=`` with every read, for servers that log who reads.
        administers: the admin token goes along with every change: committed versions want it.
        say: told of long waiting.

    `changes_sent` counts the requests that change something.
    """

    def __init__(
        self,
        url: str,
        *,
        place: str = "",
        token: str | None = None,
        admin_token: str | None = None,
        user: str = "dvidsync",
        app: str = "dvidsync",
        reads_as: str | None = None,
        administers: bool = False,
        connections: int = 16,
        patience: Patience = Patience(),  # noqa: B008 (it is frozen)
        say: Callable[[str], None] = logger.warning,
    ) -> None:
        self.url = url.rstrip("/")
        self.place = place
        self.user = user
        self.app = app
        self._reads_as = reads_as
        self._administers = administers
        self._has_token = bool(token)
        self.has_admin_token = bool(admin_token)
        for secret in (token, admin_token):
            keep_secret(secret or "")
        self._patience = patience
        self._say = say
        self._changes_lock = threading.Lock()
        self._thread = threading.local()
        self.changes_sent = 0
        self._http = httpx.Client(
            base_url=self.url,
            transport=Wire(self.url, token, admin_token, connections),
            timeout=httpx.Timeout(patience.answer, connect=patience.connect),
            headers={"Accept-Encoding": "gzip"},
        )
        self._retry_reads = retrying(patience, say, is_passing)
        self._retry_changes = retrying(patience, say, is_busy)

    def __enter__(self) -> DvidClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    # Reading

    def read(
        self,
        path: str,
        *,
        query: Query | None = None,
        body: bytes | None = None,
        limit: int = MANY,
        kind: str | None = None,
    ) -> bytes:
        """GET, repeated while the server does not answer.

        Args:
            limit: bytes that the answer may have, unpacked.
            kind: the content type that DVID gives this answer, as in `body`; None if it tells nothing.

        Raises:
            RequestRefused: DVID's own 4xx.
            LoginRefused, NotDvid: somebody before it answers.
            ServerUnreachable, ServerBusy, ServerFailed: still no answer, or 5xx.
        """
        return self._retry_reads(self._get, path, query, body, limit, kind)

    def read_json(self, path: str, *, query: Query | None = None, body: Any = None, limit: int = MANY) -> Any:
        """GET and decode JSON; `body` is sent as JSON (DVID takes bodies on GET)."""
        content = self.read(path, query=query, body=None if body is None else orjson.dumps(body), limit=limit)
        return self._decoded(self._asked("GET", path), content)

    def read_or_none(
        self, path: str, *, query: Query | None = None, limit: int = MANY, kind: str | None = None
    ) -> bytes | None:
        """GET; None for DVID's own 404."""
        try:
            return self.read(path, query=query, limit=limit, kind=kind)
        except RequestRefused as refused:
            if refused.status == 404:
                return None
            raise

    @contextmanager
    def stream(
        self,
        path: str,
        *,
        query: Query | None = None,
        body: bytes | None = None,
        limit: int = STREAMED,
        kind: str | None = None,
    ) -> Iterator[Iterator[bytes]]:
        """GET whose answer comes piece by piece. It is not repeated: whoever reads it begins anew.

        Raises:
            RequestRefused, LoginRefused, NotDvid, ServerBusy, ServerFailed: as for `read`.
            ServerUnreachable: no connection, or it broke while the answer was read.
        """
        asked = self._asked("GET", path)
        try:
            with self._sent(asked, query, body or b"") as response:
                check_kind(asked, response, kind)
                yield pieces(asked, response, min(limit, self._patience.most))
        except httpx.RequestError as error:
            raise ServerUnreachable(f"GET {self.url}{path}", _reason(error)) from None

    def _get(self, path: str, query: Query | None, body: bytes | None, limit: int, kind: str | None) -> bytes:
        asked = self._asked("GET", path)
        try:
            with self._sent(asked, query, body or b"") as response:
                check_kind(asked, response, kind)
                return b"".join(pieces(asked, response, min(limit, self._patience.most)))
        except httpx.RequestError as error:
            raise ServerUnreachable(f"GET {self.url}{path}", _reason(error)) from None

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
        body: Body = b"",
        user: str | None = None,
        app: str | None = None,
        admin: bool = False,
    ) -> None:
        """A request that changes something and whose answer, if it is done, has no content. Sent once, or
        again after an answer by which it was not looked at.

        Args:
            body: a file is sent from its beginning, piece by piece.

        Raises:
            RequestRefused: DVID's own 4xx, nothing has changed (but a failed cleave has burned an id).
            LoginRefused, ServerBusy, ServerReadOnly: nothing has changed.
            NotDvid: somebody before the server answered; see its `perhaps_done`.
            ServerUnreachable: it was not sent.
            AnswerLost: it was sent, or may have been, and the answer never came.
            ServerFailed: 5xx; it may be done in part.
        """
        content = self._retry_changes(self._change, method, path, query, body, user, app, admin)
        if content:
            raise self._asked(method, path, changes=True).not_dvid(
                f"answered {_shown(content)}, where DVID's answer has no content: something before it "
                f"answers in its place. Check the proxy or gateway before it"
            )

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
        """A change that answers with a JSON object that has these fields. Raises as `change`, and NotDvid for
        any other answer."""
        answer = self._retry_changes(self._change, method, path, query, body, user, app, admin)
        asked = self._asked(method, path, changes=True)
        decoded = self._decoded(asked, answer)
        if not isinstance(decoded, dict) or not decoded.keys() >= set(fields):
            raise asked.not_dvid(
                f"answered {_shown(answer)}, where DVID's answer has {', '.join(fields)}: is that DVID, or "
                f"something before it?"
            )
        return decoded

    def _change(
        self,
        method: str,
        path: str,
        query: Query | None,
        body: Body,
        user: str | None,
        app: str | None,
        admin: bool,
    ) -> bytes:
        signature = {"u": self.user if user is None else user, "app": self.app if app is None else app}
        params = {name: value for name, value in signature.items() if value} | dict(query or {})
        admin = admin or self._administers or getattr(self._thread, "administers", False)
        asked = self._asked(method, path, changes=True, admin=admin and self.has_admin_token)
        with self._changes_lock:
            self.changes_sent += 1
        try:
            with self._sent(asked, params, body) as response:
                return b"".join(pieces(asked, response, FEW))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise ServerUnreachable(f"{method} {self.url}{path}", _reason(error)) from None
        except httpx.RequestError as error:
            raise AnswerLost(str(asked), f"{self.url}: {_reason(error)}") from None

    # Both

    def _asked(self, method: str, path: str, *, changes: bool = False, admin: bool = False) -> Asked:
        return Asked(self.url, self.place, method, path, changes, self._has_token, admin)

    @contextmanager
    def _sent(self, asked: Asked, query: Query | None, body: Body) -> Iterator[httpx.Response]:
        """Send a request; its answer if that is 200. Raises what another one means."""
        params = dict(query or {})
        if self._reads_as and not asked.changes:
            params.setdefault("u", self._reads_as)
        if isinstance(body, bytes):
            size = len(body)
        else:
            size = body.seek(0, os.SEEK_END)
            body.seek(0)
        wait = Wait(f"{asked.method} {self.url}{asked.path}", size, self._patience, self._say)
        to = address(self.url, asked.method, asked.path, params)
        with self._http.stream(
            asked.method,
            to.path,
            params=dict(to.params),
            content=body,
            extensions={**to.extensions, "dvid_wait": wait, "dvid_admin": asked.admin_token},
        ) as response:
            check_encoding(asked, response)
            if response.status_code != 200:
                raise_for(asked, response, beginning(asked, response))
            yield response

    def _decoded(self, asked: Asked, content: bytes) -> Any:
        try:
            return orjson.loads(content)
        except orjson.JSONDecodeError:
            raise asked.not_dvid(
                f"answered {_shown(content)}, which is not the JSON that DVID answers: is that DVID, or "
                f"something before it?"
            ) from None


def _shown(content: bytes) -> str:
    return escaped(repr(content[:300]), 300)


def node_path(version: str, *parts: str | int) -> str:
    """``/api/node/VERSION/part/…`` with every part quoted."""
    return "/api/node/" + _quoted((version, *parts))


def repo_path(root: str, *parts: str | int) -> str:
    """``/api/repo/ROOT/part/…`` with every part quoted."""
    return "/api/repo/" + _quoted((root, *parts))


def _quoted(parts: Sequence[str | int]) -> str:
    return "/".join(quote(str(part), safe="") for part in parts)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
