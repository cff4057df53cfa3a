"""A source whose clock is wrong: a proxy that changes what it says of its time, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import orjson

PASSED_ON = ("authorization", "content-type", "content-encoding")


class WrongClock:
    """Stands before the server at `upstream`. Its clock is ahead by `shift`, which a test may change."""

    def __init__(self, upstream: str) -> None:
        self.shift = timedelta(0)
        outer, client = self, httpx.Client(base_url=upstream, timeout=60)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                pass

            def do(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {k: v for k, v in self.headers.items() if k.lower() in PASSED_ON}
                answer = client.request(self.command, self.path, content=body, headers=headers)
                content = answer.content
                if self.path.startswith("/api/server/info"):
                    content = outer.shifted(content)
                self.send_response(answer.status_code)
                if kind := answer.headers.get("Content-Type"):
                    self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_HEAD = do  # noqa: N815

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def shifted(self, content: bytes) -> bytes:
        info = orjson.loads(content)
        day, moment, zone = info["Server time"].split(" ", 2)
        seconds, _, fraction = moment.partition(".")
        then = datetime.fromisoformat(f"{day}T{seconds}").replace(tzinfo=UTC) + self.shift
        info["Server time"] = f"{then:%Y-%m-%d %H:%M:%S}.{fraction} {zone}"
        return orjson.dumps(info)


@contextmanager
def wrong_clock(upstream: str) -> Iterator[WrongClock]:
    proxy = WrongClock(upstream)
    thread = threading.Thread(target=proxy.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.server.shutdown()
        proxy.server.server_close()
        thread.join()
