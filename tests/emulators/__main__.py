"""One emulator as a process: ``python -m tests.emulators KIND`` prints its port. It ends with its input."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server

from tests.emulators.azure import azurite
from tests.emulators.emulator import SECRET
from tests.emulators.faults import App, Misbehaving
from tests.emulators.gcs import WithGenerations


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:
        """Requests are told of by `Emulator.requests`."""


def _moto() -> App:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    return DomainDispatcherApplication(create_backend_app)


@contextmanager
def _emulator(kind: str) -> Iterator[App]:
    if kind == "az":
        with azurite(SECRET) as app:
            yield app
    else:
        yield WithGenerations(_moto()) if kind == "gs" else _moto()


def _main(kind: str) -> None:
    with _emulator(kind) as app:
        server = make_server("127.0.0.1", 0, Misbehaving(app, kind), threaded=True, request_handler=_Quiet)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(server.port, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    _main(sys.argv[1])
