"""A proxy before a server that counts the requests that are under way at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

_TOGETHER = 0.02
"""Seconds that a request is held until others come beside it."""


@dataclass
class Counter:
    """What came to a server.

    Args:
        holds: a request waits until so many are under way, or for a moment.
        readers: the ``u=`` of each read, "" for none.
    """

    url: str
    holds: int
    under_way: int = 0
    most: int = 0
    requests: int = 0
    readers: set[str] = field(default_factory=set)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def begin(self, method: str, path: str) -> None:
        with self.changed:
            self.requests += 1
            if method == "GET":
                self.readers.update(parse_qs(urlsplit(path).query).get("u", [""]))
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.most >= self.holds, _TOGETHER)

    def end(self) -> None:
        with self.changed:
            self.under_way -= 1


@contextmanager
def counting(upstream: str, holds: int) -> Iterator[Counter]:
    """A request ends just before the last byte of its answer is sent."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            own.begin(self.command, self.path)
            passed = client.request(self.command, f"{upstream}{self.path}", content=body)
            head = f"HTTP/1.1 {passed.status_code} X\r\nContent-Length: {len(passed.content)}\r\n"
            if kind := passed.headers.get("content-type"):
                head += f"Content-Type: {kind}\r\n"
            answer = head.encode() + b"\r\n" + passed.content
            self.wfile.write(answer[:-1])
            own.end()
            self.wfile.write(answer[-1:])

        do_GET = do_POST = do_DELETE = _handle  # noqa: N815 (their names are given)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    own = Counter(f"http://127.0.0.1:{server.server_port}", holds)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    with httpx.Client(timeout=60) as client:
        try:
            yield own
        finally:
            server.shutdown()
            server.server_close()
    thread.join(5)
