"""Requests to one DVID server.

Reads are repeated when the connection fails or a gateway answers. A request that changes something is not:
after a lost answer nobody but the server knows whether it was done, so `AnswerLost` goes up to whoever can
ask it. Only where a server says that it did not even look at the request, it is sent again.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, NoReturn

import orjson

from dvidsync_dagster.dvid.again import is_busy, is_passing, retrying
from dvidsync_dagster.dvid.answer import Asked, raise_for
from dvidsync_dagster.dvid.body import beginning, check_encoding, check_kind, pieces
from dvidsync_dagster.dvid.limiter import DEFAULT, Beside, limiter_of
from dvidsync_dagster.dvid.paths import concerns_repo
from dvidsync_dagster.dvid.patience import FEW, MANY, STREAMED, Patience
from dvidsync_dagster.dvid.streamed import StreamedAnswer, reading, set_all_aside
from dvidsync_dagster.dvid.targets import target_of
from dvidsync_dagster.dvid.telling import tell
from dvidsync_dagster.dvid.transport import Body, Query
from dvidsync_dagster.dvid.wire import BROKEN, NO_CONNECTION, Response, Wire
from dvidsync_dagster.dvid.writing import Writes, refuse_foreign
from dvidsync_dagster.errors import AnswerLost, LoginRefused, RequestRefused, ServerUnreachable
from dvidsync_dagster.outgoing_text import escaped, keep_secret

logger = logging.getLogger(__name__)


class DvidClient:
    """A `Transport`: one DVID server, for use by several threads. Close it, or use it as a context manager.

    Args:
        url: such as ``http://host:8000``.
        place: its part of the configuration, such as ``destinations[copy]``, for messages.
        token: sent as ``Authorization: Bearer``.
        admin_token: sent as ``admintoken=`` with the calls that ask for it (`admin=True`).
        user, app: sent as ``u=`` and ``app=`` with every change that does not bring its own ("" sends none).
        reads_as: sent as ``u=`` with every read, for servers that log who reads.
        administers: the admin token goes along with every change: committed versions want it.
        requests_in_flight: how many requests may be under way at this server, those of other clients in this
            process included.
        writes: what may be changed; None: all.

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
        requests_in_flight: int = DEFAULT,
        patience: Patience = Patience(),  # noqa: B008 (it is frozen)
        writes: Writes | None = None,
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
        self._writes = writes
        self._changes_lock = threading.Lock()
        self._thread = threading.local()
        self.changes_sent = 0
        self._limiter = limiter_of(self.url)
        self._limiter.join(self, requests_in_flight)
        self._wire = Wire(
            self.url, token, admin_token, kept_connections=requests_in_flight, patience=patience
        )
        self._retry_reads = retrying(patience, place or self.url, is_passing)
        self._retry_changes = retrying(patience, place or self.url, is_busy)

    def __enter__(self) -> DvidClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._wire.close()
        self._limiter.leave(self)

    # Reading: see `Transport`

    def read(
        self,
        path: str,
        *,
        query: Query | None = None,
        body: bytes | None = None,
        limit: int = MANY,
        kind: str | None = None,
    ) -> bytes:
        return self._retry_reads(self._get, path, query, body, limit, kind)

    def read_json(self, path: str, *, query: Query | None = None, body: Any = None, limit: int = MANY) -> Any:
        content = self.read(path, query=query, body=None if body is None else orjson.dumps(body), limit=limit)
        return self._decoded(self._asked("GET", path), content)

    def read_or_none(
        self, path: str, *, query: Query | None = None, limit: int = MANY, kind: str | None = None
    ) -> bytes | None:
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
        asked = self._asked("GET", path)
        with ExitStack() as request:
            with _unreachable(asked):
                response = request.enter_context(self._sent(asked, query, body or b""))
                check_kind(asked, response, kind)
            answer = StreamedAnswer(self._pieces(asked, response, limit), request.close)
            with reading(answer) as own:
                yield own

    def _get(self, path: str, query: Query | None, body: bytes | None, limit: int, kind: str | None) -> bytes:
        asked = self._asked("GET", path)
        with _unreachable(asked), self._sent(asked, query, body or b"") as response:
            check_kind(asked, response, kind)
            return b"".join(self._pieces(asked, response, limit))

    def _pieces(self, asked: Asked, response: Response, limit: int) -> Iterator[bytes]:
        with _unreachable(asked):
            yield from pieces(asked, response, min(limit, self._patience.most))

    # Changing: see `Transport`

    @contextmanager
    def as_administrator(self) -> Iterator[None]:
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
        answer = self._retry_changes(self._change, method, path, query, body, user, app, admin)
        asked = self._asked(method, path, changes=True)
        decoded = self._decoded(asked, answer)
        if not isinstance(decoded, dict) or not decoded.keys() >= set(fields):
            raise asked.not_dvid(
                f"answered {_shown(answer)}, where DVID's answer has {', '.join(fields)}: is that DVID, or "
                f"something before it? Check {asked.field('url')}"
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
        if self._writes is not None:
            refuse_foreign(self._writes, method, path)
        signature = {"u": self.user if user is None else user, "app": self.app if app is None else app}
        params = {name: value for name, value in signature.items() if value} | dict(query or {})
        admin = admin or self._administers or getattr(self._thread, "administers", False)
        asked = self._asked(method, path, changes=True, admin=admin and self.has_admin_token)
        with self._changes_lock:
            self.changes_sent += 1
        try:
            with self._sent(asked, params, body) as response:
                return b"".join(pieces(asked, response, FEW))
        except NO_CONNECTION as error:
            raise ServerUnreachable(asked.address, _reason(error)) from None
        except BROKEN as error:
            raise AnswerLost(str(asked), f"{self.url}: {_reason(error)}") from None

    # Both

    def _asked(self, method: str, path: str, *, changes: bool = False, admin: bool = False) -> Asked:
        return Asked(self.url, self.place, method, path, changes, self._has_token, admin)

    @contextmanager
    def _sent(self, asked: Asked, query: Query | None, body: Body) -> Iterator[Response]:
        """Send a request; its answer if that is 200. Raises what another one means."""
        set_all_aside()
        with self._limiter.place(
            self._patience.word, lambda seconds: self._tell_of_queue(asked, seconds), _beside(asked)
        ):
            params = dict(query or {})
            if self._reads_as and not asked.changes:
                params.setdefault("u", self._reads_as)
            target = target_of(self.url, asked.method, asked.path, params)
            with self._wire.sent(asked, target, body, _size(body)) as response:
                check_encoding(asked, response)
                if response.status != 200:
                    self._raise_for(asked, response)
                yield response

    def _raise_for(self, asked: Asked, response: Response) -> NoReturn:
        try:
            raise_for(asked, response.status, response.headers, beginning(asked, response))
        except LoginRefused as error:
            tell(logger, str(error), server=self.place or self.url, request=error.request)
            raise

    def _tell_of_queue(self, asked: Asked, seconds: float) -> None:
        text = f"still waiting for a free place to send {asked.address}: {seconds:,.0f} s so far"
        tell(logger, text, server=self.place or self.url, request=str(asked), seconds=seconds)

    def _decoded(self, asked: Asked, content: bytes) -> Any:
        try:
            return orjson.loads(content)
        except orjson.JSONDecodeError:
            raise asked.not_dvid(
                f"answered {_shown(content)}, which is not the JSON that DVID answers: is that DVID, or "
                f"something before it? Check {asked.field('url')}, and a login that may have ended"
            ) from None


@contextmanager
def _unreachable(asked: Asked) -> Iterator[None]:
    """What breaks while something is read."""
    try:
        yield
    except BROKEN as error:
        raise ServerUnreachable(asked.address, _reason(error)) from None


def _beside(asked: Asked) -> Beside:
    if concerns_repo(asked.method, asked.path):
        return Beside.READS
    return Beside.CHANGES if asked.changes else Beside.ANY


def _size(body: Body) -> int:
    """Bytes; a file is at its beginning then."""
    if isinstance(body, bytes):
        return len(body)
    size = body.seek(0, os.SEEK_END)
    body.seek(0)
    return size


def _shown(content: bytes) -> str:
    return escaped(repr(content[:300]), 300)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
