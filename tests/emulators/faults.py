"""What goes wrong between a client and a store: WSGI around an emulator.

Requests are carried out one by one, so that a test knows what was done before a process was killed.
"""

from __future__ import annotations

import io
import json
import os
import random
import signal
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Environ = dict[str, Any]
Start = Callable[..., Any]
App = Callable[[Environ, Start], Iterable[bytes]]

CONTROL = "/_faults"

_BUSY = {"s3": "SlowDown", "gs": "ServiceUnavailable", "az": "ServerBusy"}


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
        ignored: a header of requests that is taken and ignored, such as ``If-Match``.
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
    ignored: str = ""


class Misbehaving:
    """An emulator with faults, and a place to set them.

    Args:
        kind: whose words it uses.
    """

    def __init__(self, app: App, kind: str) -> None:
        self._app = app
        self._kind = kind
        self._lock = threading.Lock()
        self._set(Faults())

    def _set(self, faults: Faults) -> None:
        self._faults = faults
        self._random = random.Random(faults.seed)
        self._seen: list[str] = []

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        # Whoever answers may leave it unread, and the connection goes on behind it.
        content = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(content)
        with self._lock:
            if environ["PATH_INFO"] == CONTROL:
                return self._control(environ, start)
            self._seen.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
            return self._answer(environ, start)

    def _control(self, environ: Environ, start: Start) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "POST":
            self._set(Faults(**json.load(environ["wsgi.input"])))
        start("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(self._seen).encode()]

    def _answer(self, environ: Environ, start: Start) -> Iterable[bytes]:
        faults = self._faults
        environ.pop(f"HTTP_{faults.ignored.upper().replace('-', '_')}", None)
        is_last = faults.kill and len(self._seen) == faults.at
        if is_last and not faults.done:
            os.kill(faults.kill, signal.SIGKILL)
            return refused(environ, start, 503, _BUSY[self._kind])
        if self._random.random() < faults.busy:
            return refused(environ, start, self._random.choice((503, 429)), _BUSY[self._kind])
        if environ["REQUEST_METHOD"] in faults.methods:
            return refused(environ, start, faults.status, faults.code)
        if self._random.random() < faults.lost:
            b"".join(self._app(environ, lambda *_: None))
            return refused(environ, start, 500, "InternalError")
        answer = self._app(environ, start)
        if is_last:
            os.kill(faults.kill, signal.SIGKILL)
        return answer


def refused(environ: Environ, start: Start, status: int, code: str) -> Iterable[bytes]:
    """An error in the form that S3, Google and Azure have in common."""
    text = f"<Error><Code>{code}</Code><Message>as the test wants it</Message></Error>".encode()
    start(
        f"{status} Refused",
        [
            ("Content-Type", "application/xml"),
            ("Content-Length", str(len(text))),
            ("x-ms-error-code", code),
        ],
    )
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [text]
