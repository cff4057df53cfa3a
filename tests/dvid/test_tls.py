"""A server behind TLS, and names of all kinds."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from dvidsync_dagster.dvid.http import DvidClient
from dvidsync_dagster.dvid.patience import Patience
from dvidsync_dagster.errors import ServerUnreachable

SOON = Patience(unreachable=0)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"{self.headers['Host']} {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def port(certificate: Path) -> Iterator[int]:
    """Of a server at localhost that tells the host and the target that it was asked for."""
    with HTTPServer(("127.0.0.1", 0), _Handler) as server:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_a_certificate_of_ones_own(port: int, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with DvidClient(f"HTTPS://localhost:{port}/behind") as client:
        assert client.read("/api/server/info") == f"localhost:{port} /behind/api/server/info".encode()


def test_a_certificate_that_nobody_vouches_for(port: int) -> None:
    with (
        DvidClient(f"https://localhost:{port}", patience=SOON) as client,
        pytest.raises(ServerUnreachable, match="certificate verify failed"),
    ):
        client.read("/api/server/info")
