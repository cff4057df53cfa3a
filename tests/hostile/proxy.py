"""A proxy before a server, with a mind of its own: rules say which requests meet what."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

PIECE = b" " * 65536


class Gone(Exception):
    """The connection is to be closed."""


@dataclass(frozen=True)
class Answer:
    """What is answered in the server's place.

    Args:
        done: the server gets the request nevertheless, first.
        promised: the Content-Length, if it is not that of the body.
        endless: the body is repeated until nobody listens.
        pause: seconds before each piece of an endless body.
        silent: nothing is answered, until nobody waits.
        headers: others.
    """

    status: int = 200
    body: bytes = b""
    done: bool = False
    promised: int | None = None
    endless: bool = False
    pause: float = 0.0
    silent: bool = False
    headers: dict[str, str] = field(default_factory=dict)


Rule = Callable[[str, str], Answer | None]
"""Takes method and path (with query); None hands the request on."""


def bomb(size: int) -> bytes:
    """So many zeros, packed."""
    return gzip.compress(bytes(size))


@dataclass
class Proxy:
    url: str
    rule: Rule | None = None
    requests: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def proxy(upstream: str) -> Iterator[Proxy]:
    """A proxy that hands everything on, as long as its `rule` says nothing else."""
    closing = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            own.requests.append((self.command, self.path))
            answer = own.rule(self.command, self.path) if own.rule else None
            if answer is None or answer.done:
                passed = self._hand_on(body)
            if answer is None:
                answer = Answer(passed.status_code, passed.content, headers=_kept(passed))
            # What breaks off here breaks off at the client as well.
            with suppress(OSError, Gone):
                self._answer(answer)
                return
            self.close_connection = True

        def _hand_on(self, body: bytes) -> httpx.Response:
            token = self.headers.get("Authorization")
            headers = {"Authorization": token} if token else {}
            return client.request(self.command, f"{upstream}{self.path}", content=body, headers=headers)

        def _answer(self, answer: Answer) -> None:
            if answer.silent:
                closing.wait(60)
                raise Gone
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.endless and answer.promised is None:
                self.send_header("Connection", "close")
            else:
                length = len(answer.body) if answer.promised is None else answer.promised
                self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(answer.body)
            while answer.endless and not closing.is_set():
                time.sleep(answer.pause)
                self.wfile.write(answer.body)
            if answer.endless or answer.promised is not None:
                raise Gone

        do_GET = do_POST = do_DELETE = _handle  # noqa: N815 (their names are given)

    client = httpx.Client(timeout=60)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    own = Proxy(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield own
    finally:
        closing.set()
        server.shutdown()
        server.server_close()
        client.close()


def _kept(response: httpx.Response) -> dict[str, str]:
    kind = response.headers.get("content-type")
    return {"Content-Type": kind} if kind else {}
