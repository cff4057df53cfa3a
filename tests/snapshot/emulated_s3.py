"""An S3 in a process of its own (moto), which misbehaves as it is told to.

A process, as obstore and delta-rs hold Python's lock while they wait. Requests are carried out one by one, so
that conditional writes are as atomic as S3's.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import httpx
import pytest

_CONTROL = "/_faults"


@dataclass(frozen=True)
class Faults:
    """What goes wrong from now on.

    Args:
        busy: the part of requests that are answered by 503 or 429 alone.
        lost: the part of requests that are carried out, and answered by 500.
        status, code, methods: how requests by these methods are refused.
        kill: the process that is killed at one request.
        at: which request that is, counted from 1.
        done: it is carried out before.
        seed: which requests.
    """

    busy: float = 0
    lost: float = 0
    status: int = 0
    code: str = ""
    methods: tuple[str, ...] = ()
    kill: int = 0
    at: int = 0
    done: bool = False
    seed: int = 1


class EmulatedS3:
    """A running one, from outside."""

    def __init__(self, url: str) -> None:
        self.url = url

    def make_bucket(self, name: str) -> str:
        """Its URI."""
        httpx.put(f"{self.url}/{name}").raise_for_status()
        return f"s3://{name}"

    @contextmanager
    def faults(self, faults: Faults) -> Iterator[None]:
        self.set(faults)
        try:
            yield
        finally:
            self.set(Faults())

    def set(self, faults: Faults) -> None:
        """Also counts requests from 0 again."""
        httpx.post(self.url + _CONTROL, json=asdict(faults)).raise_for_status()

    def requests(self) -> list[str]:
        """Methods and paths of the requests that came since `set`."""
        return [str(each) for each in httpx.get(self.url + _CONTROL).json()]


@contextmanager
def emulated_s3() -> Iterator[EmulatedS3]:
    """Start one, and give it to the environment."""
    with pytest.MonkeyPatch.context() as patch:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout
            url = f"http://127.0.0.1:{int(process.stdout.readline())}"
            patch.setenv("AWS_ENDPOINT_URL", url)
            patch.setenv("AWS_ALLOW_HTTP", "true")
            patch.setenv("AWS_ACCESS_KEY_ID", "somebody")
            patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
            patch.setenv("AWS_REGION", "us-east-1")
            yield EmulatedS3(url)
        finally:
            process.kill()
            process.communicate()


SECRET = "a-secret-that-nobody-may-see"

Environ = dict[str, Any]
Start = Callable[..., Any]


class _Misbehaving:
    """WSGI around moto."""

    def __init__(self, app: Callable[[Environ, Start], Iterable[bytes]]) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._set(Faults())

    def _set(self, faults: Faults) -> None:
        self._faults = faults
        self._random = random.Random(faults.seed)
        self._seen: list[str] = []

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        with self._lock:
            if environ["PATH_INFO"] == _CONTROL:
                return self._control(environ, start)
            self._seen.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
            return self._answer(environ, start)

    def _control(self, environ: Environ, start: Start) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "POST":
            self._set(Faults(**json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))))
        start("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(self._seen).encode()]

    def _answer(self, environ: Environ, start: Start) -> Iterable[bytes]:
        faults = self._faults
        if faults.kill and len(self._seen) == faults.at and not faults.done:
            os.kill(faults.kill, signal.SIGKILL)
            return self._refuse(environ, start, 503, "SlowDown")
        if self._random.random() < faults.busy:
            return self._refuse(environ, start, self._random.choice((503, 429)), "SlowDown")
        if environ["REQUEST_METHOD"] in faults.methods:
            return self._refuse(environ, start, faults.status, faults.code)
        if self._random.random() < faults.lost:
            b"".join(self._app(environ, lambda *_: None))
            start("500 Internal Server Error", [("Content-Type", "application/xml")])
            return [b"<Error><Code>InternalError</Code><Message>lost</Message></Error>"]
        answer = self._app(environ, start)
        if faults.kill and len(self._seen) == faults.at:
            os.kill(faults.kill, signal.SIGKILL)
        return answer

    def _refuse(self, environ: Environ, start: Start, status: int, code: str) -> Iterable[bytes]:
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start(f"{status} Refused", [("Content-Type", "application/xml")])
        return [f"<Error><Code>{code}</Code><Message>as the test wants it</Message></Error>".encode()]


def _main() -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, type: str, message: str, *args: Any) -> None:
            """Requests are told of by `EmulatedS3.requests`."""

    app = _Misbehaving(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    print(server.port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _main()
