"""Request lines of any length."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import pytest

from dvidsync_dagster.dvid.http import DvidClient
from dvidsync_dagster.dvid.paths import node_path
from dvidsync_dagster.dvid.targets import SERVER_TAKES
from dvidsync_dagster.errors import RequestRefused


@contextmanager
def listener() -> Iterator[tuple[str, list[str]]]:
    """A server that takes lines of any length and says yes. Its URL, and the targets that were asked for."""
    targets: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            targets.append(self.rfile.readline().decode("ascii").split()[1])
            while self.rfile.readline().strip():
                pass
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", targets
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("length", [10, 6_000, 100_000, 190_000])
def test_a_line_of_any_length_that_a_server_takes(length: int) -> None:
    user = "ü" * (length // 10)
    with listener() as (url, targets), DvidClient(f"{url}/behind", admin_token="the admin token") as client:
        path = node_path("1" * 32, "keys", "key", "é" * (length // 6))
        client.change("DELETE", path, user=user, admin=True)
    (target,) = targets
    assert urlsplit(target).path == f"/behind{path}"
    assert parse_qs(urlsplit(target).query) == {
        "u": [user] if user else [],
        "app": ["dvidsync"],
        "admintoken": ["the admin token"],
    }


def test_a_longer_one_is_refused_before_it_is_sent() -> None:
    with (
        listener() as (url, targets),
        DvidClient(url) as client,
        pytest.raises(RequestRefused, match=r"a line of 1,\d+,\d+ bytes"),
    ):
        client.change("POST", "/api/x", user="u" * SERVER_TAKES)
    assert targets == []
