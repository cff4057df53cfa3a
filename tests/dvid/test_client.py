"""Requests: what is repeated, what never is, and that tokens stay hidden."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dvidsync_dagster.dvid.client import DvidClient
from dvidsync_dagster.errors import AnswerLost, RequestRefused, ServerError, ServerFailed, ServerUnreachable

TOKEN, ADMIN_TOKEN = "the-bearer-token", "the-admin-token"


class RawServer:
    """Takes connections; for each it reads a request and gives the next answer (None: it just closes)."""

    def __init__(self, *answers: bytes | None) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        for answer in self.answers:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self.requests.append(connection.recv(65536))
                if answer is not None:
                    connection.sendall(answer)

    def close(self) -> None:
        self._listener.close()


def answer(status: int, body: bytes = b"{}") -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


@contextmanager
def talking_to(*answers: bytes | None) -> Iterator[tuple[RawServer, DvidClient]]:
    server = RawServer(*answers)
    with DvidClient(server.url, token=TOKEN, admin_token=ADMIN_TOKEN, patience=5) as client:
        try:
            yield server, client
        finally:
            server.close()


def test_a_read_is_repeated_after_a_dropped_connection_and_after_503() -> None:
    with talking_to(None, answer(503), answer(200, b'{"a": 1}')) as (server, client):
        assert client.read_json("/api/x") == {"a": 1}
        assert len(server.requests) == 3


def test_a_change_is_sent_once_and_its_lost_answer_told() -> None:
    with talking_to(None, answer(200)) as (server, client):
        with pytest.raises(AnswerLost):
            client.change("POST", "/api/x")
        assert len(server.requests) == 1
        assert client.changes_sent == 1


def test_a_change_is_not_repeated_after_503() -> None:
    with talking_to(answer(503), answer(200)) as (server, client):
        with pytest.raises(ServerFailed):
            client.change("POST", "/api/x")
        assert len(server.requests) == 1


def test_a_refusal_keeps_status_and_text() -> None:
    with talking_to(answer(400, b"no such body")) as (_, client):
        with pytest.raises(RequestRefused) as caught:
            client.change("POST", "/api/x")
        assert (caught.value.status, caught.value.text) == (400, "no such body")


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with DvidClient(f"http://127.0.0.1:{port}", patience=0.1) as client:
        with pytest.raises(ServerUnreachable):
            client.change("POST", "/api/x")
        with pytest.raises(ServerUnreachable):
            client.read("/api/x")


def test_tokens_are_sent_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shown = []
    answers = (answer(200), answer(400, b"no"), None, answer(500, b"broken"), b"nonsense\r\n\r\n")
    with talking_to(*answers) as (server, client):
        client.change("POST", "/api/x", admin=True)
        for _ in answers[1:]:
            with pytest.raises(ServerError) as caught:
                client.change("POST", "/api/x", admin=True)
            shown.append(f"{caught.value!r} {caught.value} {caught.value.__cause__!r}")
        shown.append(repr(client))
        assert all(TOKEN.encode() in request for request in server.requests)
        assert all(b"admintoken=" + ADMIN_TOKEN.encode() in request for request in server.requests)
    text = "\n".join([*shown, caplog.text])
    assert TOKEN not in text
    assert ADMIN_TOKEN not in text


def test_the_admin_token_goes_only_where_it_is_asked_for() -> None:
    with talking_to(answer(200)) as (server, client):
        client.change("POST", "/api/x")
        assert ADMIN_TOKEN.encode() not in server.requests[0]
