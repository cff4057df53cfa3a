"""The wire to one server: secrets are added here, and nobody waits on it without end or without a word."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TypeVar
from urllib.parse import quote, urlsplit

import httpcore

from dvidsync_dagster.dvid.answer import Asked
from dvidsync_dagster.dvid.patience import KIB, SLOWEST, Patience
from dvidsync_dagster.dvid.telling import tell
from dvidsync_dagster.dvid.transport import Body
from dvidsync_dagster.outgoing_text import scrubbed

T = TypeVar("T")
Options = Iterable[tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]]

NO_CONNECTION = (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.PoolTimeout)
"""Nothing was sent."""

BROKEN = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError)
"""No connection, or one that broke; the server may have what was sent."""

_PIECE = 64 * KIB
_PORTS = {"http": 80, "https": 443}
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
        """What this thread reads and writes meanwhile belongs to this request."""
        before = getattr(_current, "wait", None)
        _current.wait = self
        try:
            return work()
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


@dataclass(frozen=True, slots=True)
class Response:
    """An answer.

    Args:
        headers: by their names in lower case.
        pieces: the body as it comes, packed as it was sent. Raises what is `BROKEN`.
    """

    status: int
    headers: Mapping[str, str]
    pieces: Iterator[bytes]


class Wire:
    """Sends requests, by httpcore. The tokens are added here, so that nothing above can tell them."""

    def __init__(
        self,
        url: str,
        token: str | None,
        admin_token: str | None,
        *,
        kept_connections: int,
        patience: Patience,
    ) -> None:
        parts = urlsplit(url)
        # Names of other languages too.
        host = (parts.hostname or "").encode("idna")
        self._address = (parts.scheme.lower().encode(), host, parts.port or _PORTS[parts.scheme.lower()])
        authority = (b"[%s]" if b":" in host else b"%s") % host
        self._headers = [
            (b"Host", authority if parts.port is None else b"%s:%d" % (authority, parts.port)),
            (b"Accept", b"*/*"),
            (b"Accept-Encoding", b"gzip"),
            (b"User-Agent", b"dvidsync"),
        ]
        if token:
            self._headers.append((b"Authorization", f"Bearer {token}".encode()))
        self._admin = f"admintoken={quote(admin_token)}" if admin_token else ""
        self._patience = patience
        self._timeout = dict.fromkeys(("read", "write", "pool"), patience.answer)
        self._timeout["connect"] = patience.connect
        self._pool = httpcore.ConnectionPool(
            # It takes 30 ms to make.
            ssl_context=httpcore.default_ssl_context() if parts.scheme.lower() == "https" else None,
            # How many requests are under way is for the server's limiter to say.
            max_connections=None,
            max_keepalive_connections=kept_connections,
            keepalive_expiry=5.0,
            network_backend=_Network(),
        )

    @contextmanager
    def sent(self, asked: Asked, target: str, body: Body, size: int) -> Iterator[Response]:
        """Send a request; its answer, which ends with the block.

        Args:
            target: path and query, quoted; the admin token is added if it belongs to what is `asked`.
            body: a file is sent from where it stands.
            size: bytes of the body.

        Raises:
            what is `BROKEN`.
        """
        if self._admin and asked.admin_token:
            target += f"{'&' if '?' in target else '?'}{self._admin}"
        headers = self._headers
        if size or asked.method != "GET":
            headers = [*headers, (b"Content-Length", str(size).encode())]
        scheme, host, port = self._address
        request = httpcore.Request(
            asked.method,
            httpcore.URL(scheme=scheme, host=host, port=port, target=target.encode("ascii")),
            headers=headers,
            content=body if isinstance(body, bytes) else _pieces_of(body),
            extensions={"timeout": self._timeout},
        )
        wait = Wait(asked, size, self._patience)
        response = wait.counting(lambda: self._pool.handle_request(request))
        try:
            assert isinstance(response.stream, Iterable)
            yield Response(
                response.status, _read_headers(response.headers), _counted(iter(response.stream), wait)
            )
        finally:
            response.close()

    def close(self) -> None:
        self._pool.close()


def _pieces_of(file: IO[bytes]) -> Iterator[bytes]:
    return iter(lambda: file.read(_PIECE), b"")


def _read_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    read: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        read[key] = f"{read[key]}, {text}" if key in read else text
    return read


def _counted(pieces: Iterator[bytes], wait: Wait) -> Iterator[bytes]:
    """What comes of an answer, each piece against the request's time."""
    while (piece := wait.counting(lambda: next(pieces, None))) is not None:
        wait.came(len(piece))
        yield piece


class _Scrubbing(logging.Filter):
    """A server that repeats a request puts its tokens into what the libraries log of the answer."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = scrubbed(record.getMessage()), ()
        return True


for _name in ("httpcore.connection", "httpcore.http11", "httpcore.proxy"):
    logging.getLogger(_name).addFilter(_Scrubbing())
