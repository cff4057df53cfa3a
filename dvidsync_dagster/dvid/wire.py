"""The wire to one server: secrets are added here, and nobody waits on it without end or without a word."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar
from urllib.parse import urlencode

import httpcore
import httpx

from dvidsync_dagster.dvid.answer import Asked
from dvidsync_dagster.dvid.patience import SLOWEST, Patience
from dvidsync_dagster.dvid.telling import tell
from dvidsync_dagster.outgoing_text import scrubbed

T = TypeVar("T")
Options = Iterable[tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]]

_ERRORS = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
)
_current = threading.local()

_LONG = 1 << 18
"""Bytes of an answer from which on it pays to read few large pieces."""
_REST = 0.004
"""Seconds."""

logger = logging.getLogger(__name__)


class Wait:
    """One request under way. Whatever it reads or writes counts against its time.

    Args:
        asked: what is asked of whom.
        body: bytes that are sent.
    """

    def __init__(self, asked: Asked, body: int, patience: Patience) -> None:
        self._asked = asked
        self._word = patience.word
        self._began = time.monotonic()
        self._ends = self._began + patience.answer + body / SLOWEST
        self._read = 0
        self._comes_in_drops = False

    def came(self, count: int) -> None:
        """So many bytes of the answer are there: they may take their time."""
        self._ends += count / SLOWEST

    def counting(self, work: Callable[[], T]) -> T:
        """What this thread reads and writes meanwhile belongs to this request. Raises httpx's errors."""
        before = getattr(_current, "wait", None)
        _current.wait = self
        try:
            return work()
        except _ERRORS as error:
            # httpx has an exception of the same name for each of httpcore's.
            raise getattr(httpx, type(error).__name__)(str(error)) from error
        finally:
            _current.wait = before

    def left(self) -> float:
        return self._ends - time.monotonic()

    def was_read(self, count: int, most: int) -> None:
        """So many bytes were there at once, of as many as could have been."""
        self._read += count
        self._comes_in_drops = self._read >= _LONG and count < most // 2

    def rest(self) -> None:
        """Let more of a long answer come together: DVID sends indices in pieces of 2 KB, and to be woken for
        each takes the processor longer than to read it."""
        if self._comes_in_drops:
            time.sleep(_REST)

    def until_word(self) -> float:
        return max(0.01, self._began + self._word - time.monotonic())

    def speak(self) -> None:
        waited = time.monotonic() - self._began
        if waited >= self._word:
            self._word *= 2
            tell(
                logger,
                f"still waiting for {self._asked.address}: {waited:,.0f} s so far",
                server=self._asked.place or self._asked.server,
                request=str(self._asked),
                seconds=waited,
            )


class _Stream(httpcore.NetworkStream):
    """A connection whose reads and writes end when the time of the request is up."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        wait: Wait | None = getattr(_current, "wait", None)
        if wait is None:
            return self._inner.read(max_bytes, timeout)
        wait.rest()
        while True:
            left = wait.left()
            if left <= 0:
                raise httpcore.ReadTimeout("it takes too long")
            try:
                piece = self._inner.read(max_bytes, min(left, wait.until_word()))
                wait.was_read(len(piece), max_bytes)
                return piece
            except httpcore.ReadTimeout:
                wait.speak()

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        wait: Wait | None = getattr(_current, "wait", None)
        left = timeout if wait is None else wait.left()
        if left is not None and left <= 0:
            raise httpcore.WriteTimeout("it takes too long")
        self._inner.write(buffer, left)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> object:
        return self._inner.get_extra_info(info)


class _Network(httpcore.NetworkBackend):
    def __init__(self) -> None:
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Options | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.connect_tcp(host, port, timeout, local_address, socket_options))

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


class _Body(httpx.SyncByteStream):
    def __init__(self, inner: Iterable[bytes], wait: Wait, close: Callable[[], None]) -> None:
        self._inner = inner
        self._wait = wait
        self._close = close

    def __iter__(self) -> Iterator[bytes]:
        parts = iter(self._inner)
        while True:
            part = self._wait.counting(lambda: next(parts, None))
            if part is None:
                return
            self._wait.came(len(part))
            yield part

    def close(self) -> None:
        self._close()


class Wire(httpx.BaseTransport):
    """Sends requests. The tokens are added below the layer that logs requests and puts URLs into exceptions.

    A request's extensions can say `dvid_admin` (the admin token goes along) and must have its `dvid_wait`.
    """

    def __init__(
        self, url: str, token: str | None, admin_token: str | None, *, kept_connections: int
    ) -> None:
        self._token = token
        self._admin_token = admin_token
        self._pool = httpcore.ConnectionPool(
            # It takes 30 ms to make.
            ssl_context=httpx.create_ssl_context() if url.lower().startswith("https") else None,
            # How many requests are under way is for the server's limiter to say.
            max_connections=None,
            max_keepalive_connections=kept_connections,
            keepalive_expiry=5.0,
            network_backend=_Network(),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        headers = request.headers.copy()
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        url, target = request.url, request.extensions.get("target", b"")
        if self._admin_token and request.extensions.get("dvid_admin"):
            token = {"admintoken": self._admin_token}
            if target:
                target += f"&{urlencode(token)}".encode()
            else:
                url = url.copy_merge_params(token)
        wait: Wait = request.extensions["dvid_wait"]
        assert isinstance(request.stream, httpx.SyncByteStream)
        sent = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=target or url.raw_path
            ),
            headers=headers.raw,
            content=request.stream,
            extensions={"timeout": request.extensions.get("timeout", {})},
        )
        response = wait.counting(lambda: self._pool.handle_request(sent))
        assert isinstance(response.stream, Iterable)
        return httpx.Response(
            status_code=response.status,
            # Nobody logs in here: cookies would only be collected.
            headers=[(name, value) for name, value in response.headers if name.lower() != b"set-cookie"],
            stream=_Body(response.stream, wait, response.close),
            extensions=response.extensions,
        )

    def close(self) -> None:
        self._pool.close()


class _Scrubbing(logging.Filter):
    """A server that repeats a request puts its tokens into what the libraries log of the answer."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = scrubbed(record.getMessage()), ()
        return True


for _name in ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy"):
    logging.getLogger(_name).addFilter(_Scrubbing())
