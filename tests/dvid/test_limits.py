"""Answers that are too large, too slow, or never come."""

from __future__ import annotations

import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from dvidsync_dagster.dvid.http import DvidClient
from dvidsync_dagster.dvid.patience import MIB, Patience
from dvidsync_dagster.errors import AnswerLost, NotDvid, ServerError, ServerUnreachable
from tests.hostile.proxy import bomb

QUICK = Patience(unreachable=0, answer=0.5, word=0.1)
PACKED = bomb(256 * MIB)
Serve = Callable[[socket.socket], None]


@contextmanager
def served(serve: Serve, patience: Patience = QUICK) -> Iterator[DvidClient]:
    """A client of a server that does `serve` with each connection."""
    ended = threading.Event()

    def run() -> None:
        while not ended.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                with suppress(OSError):
                    serve(connection)
                    connection.recv(1)  # until the client has enough

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with DvidClient(url, place="source", patience=patience) as client:
            try:
                yield client
            finally:
                ended.set()
                listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def silent(_: socket.socket) -> None:
    """Not a word."""


def slow_headers(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        connection.sendall(b"x")
        time.sleep(0.02)


def slow_body(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.02)


def endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(bytes(MIB))


def promised(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n")


def in_drops(connection: socket.socket) -> None:
    """A megabyte, 2 KB at a time."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % MIB)
    for _ in range(MIB // 2048):
        time.sleep(0.0005)
        connection.sendall(bytes(2048))


def packed(connection: socket.socket) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(PACKED)}\r\n\r\n"
    connection.sendall(head.encode() + PACKED)


def long_refusal(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 400 X\r\nContent-Length: 60000000\r\n\r\n")
    connection.sendall(b"E" * 60_000_000)


@pytest.mark.parametrize("serve", [silent, slow_headers, slow_body])
def test_nobody_waits_without_end_or_without_a_word(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    with served(serve) as client:
        began = time.monotonic()
        with pytest.raises(AnswerLost):
            client.change("POST", "/api/x")
        with pytest.raises(ServerUnreachable):
            client.read("/api/x")
        assert time.monotonic() - began < 4
    if serve is silent:
        first, second = caplog.records[:2]
        assert "/api/x: 0 s so far" in first.getMessage()
        told = vars(first)
        assert (told["server"], told["request"]) == ("source", "POST /api/x")
        assert 0.1 <= told["seconds"] < 0.2 <= vars(second)["seconds"]


@pytest.mark.parametrize("serve", [endless, promised, packed])
def test_no_answer_fills_the_memory(serve: Serve) -> None:
    with served(serve, Patience(unreachable=0, answer=60)) as client:
        tracemalloc.start()
        try:
            for ask in (
                lambda: client.change("POST", "/api/x"),
                lambda: client.read("/api/x", limit=4 * MIB),
            ):
                with pytest.raises(NotDvid, match="bytes"):
                    ask()
            assert tracemalloc.get_traced_memory()[1] < 32 * MIB
        finally:
            tracemalloc.stop()


def test_a_long_refusal_is_a_short_message() -> None:
    with served(long_refusal, Patience(unreachable=0, answer=60)) as client:
        with pytest.raises(ServerError) as caught:
            client.change("POST", "/api/x")
        assert len(str(caught.value)) < 1500


def test_a_long_answer_that_comes_in_drops_is_read_in_larger_pieces() -> None:
    with served(in_drops, Patience(unreachable=0)) as client, client.stream("/api/x") as pieces:
        sizes = [len(piece) for piece in pieces]
    assert sum(sizes) == MIB
    assert len(sizes) < 350
