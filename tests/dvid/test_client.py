"""Requests: what is repeated, what never is, and that tokens stay hidden."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote

import pytest

from dvidsync_dagster.dvid.http import DvidClient
from dvidsync_dagster.dvid.labelmap import Labelmap, LastMod
from dvidsync_dagster.dvid.paths import node_path, repo_path
from dvidsync_dagster.dvid.patience import Patience
from dvidsync_dagster.dvid.transport import BINARY
from dvidsync_dagster.errors import (
    AnswerLost,
    LoginRefused,
    NotDvid,
    RequestRefused,
    ServerBusy,
    ServerError,
    ServerFailed,
    ServerReadOnly,
    ServerUnreachable,
)

TOKEN, ADMIN_TOKEN = "the-bearer-token", "the-admin-token"


SOME = Patience(unreachable=5, busy=2)


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


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    given = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{given}\r\n"
    return head.encode() + body


@contextmanager
def talking_to(*answers: bytes | None, patience: Patience = SOME) -> Iterator[tuple[RawServer, DvidClient]]:
    server = RawServer(*answers)
    with DvidClient(
        server.url,
        place="destinations[copy]",
        token=TOKEN,
        admin_token=ADMIN_TOKEN,
        patience=patience,
    ) as client:
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


def test_a_change_is_not_repeated_after_a_gateways_503() -> None:
    """The gateway may have handed it on."""
    with talking_to(answer(503, b"<html>"), answer(200)) as (server, client):
        with pytest.raises(NotDvid) as caught:
            client.change("POST", "/api/x")
        assert len(server.requests) == 1
        assert caught.value.perhaps_done


@pytest.mark.parametrize("first", [(503, b"DVID server is unavailable.\n"), (429, b"slow down")])
def test_a_change_that_was_not_looked_at_is_sent_again(first: tuple[int, bytes]) -> None:
    with talking_to(answer(*first, Retry_After="1"), answer(200)) as (server, client):
        began = time.monotonic()
        client.change("POST", "/api/x")
        assert time.monotonic() - began >= 1
        assert len(server.requests) == 2


@pytest.mark.parametrize("change", [False, True])
def test_a_pause_beyond_all_patience_ends_it_at_once(change: bool) -> None:
    with talking_to(answer(429, b"slow down", Retry_After="1000000000")) as (server, client):
        began = time.monotonic()
        with pytest.raises(ServerBusy, match="1,000,000,000 s"):
            client.change("POST", "/api/x") if change else client.read("/api/x")
        assert time.monotonic() - began < 1
        assert len(server.requests) == 1


def test_a_refusal_keeps_status_and_text() -> None:
    with talking_to(answer(400, b"no such body (/api/x).\n")) as (_, client):
        with pytest.raises(RequestRefused) as caught:
            client.change("POST", "/api/x")
        assert (caught.value.status, caught.value.text) == (400, "no such body (/api/x).")


def test_a_key_can_be_any_words() -> None:
    """DVID names the path in what it says, and a key is a part of it."""
    key = 'JWT required user "x" is not authorized (x) read-only mode append log locked node'
    path = node_path("abc", "keys", "key", key)
    said = f"no room for it ({unquote(path)}).\n".encode()
    with talking_to(answer(400, said)) as (_, client), pytest.raises(RequestRefused) as caught:
        client.change("POST", path, admin=True)
    assert caught.value.status == 400


PAGE = b"<html><body>Please log in</body></html>"
LOGIN = "https://login.example.org/start"


@pytest.mark.parametrize(
    ("status", "body", "error", "says"),
    [
        *[(status, PAGE, NotDvid, "login.example.org/start") for status in (301, 302, 303, 307, 308)],
        (401, b"token expired", LoginRefused, r"destinations\[copy\].token_env"),
        (403, PAGE, LoginRefused, r"destinations\[copy\].token_env"),
        (403, b'user "ann" does not have sufficient access (/api/x).\n', LoginRefused, "ann"),
        (400, b"JWT required via Authorization in request header (/api/x).\n", LoginRefused, "JWT"),
        (400, b"POST /maxlabel requires admin privileges (/api/x).\n", LoginRefused, "admin_token_env"),
        (400, b"Cannot do POST on locked node 12 (/api/x).\n", LoginRefused, "admin_token_env"),
        (429, b'User "ann" is blocked: crawls\n', LoginRefused, r"destinations\[copy\].user"),
        (400, b"Server in read-only mode and will only accept GET (/api/x).\n", ServerReadOnly, "read-only"),
        (407, PAGE, NotDvid, "proxy"),
        (408, b"", ServerBusy, "408"),
        (425, b"", ServerBusy, "425"),
        (451, b"", NotDvid, "withholds"),
        (413, PAGE, NotDvid, "size"),
        (400, PAGE, NotDvid, "not DVID's own"),
        (404, PAGE, NotDvid, "not DVID's own"),
        (404, b"404 page not found\n", NotDvid, "not DVID's own"),
        (418, b"", NotDvid, "not DVID's own"),
        (500, b"oops", NotDvid, "not DVID's own"),
        (500, b"Panic detected on request 12:\n", ServerFailed, "Panic"),
        (502, PAGE, NotDvid, "not DVID's own"),
        (200, PAGE, NotDvid, "no content"),
        (200, b"{}", NotDvid, "no content"),
        (204, b"", NotDvid, "204"),
    ],
)
def test_only_dvids_own_answer_is_one(status: int, body: bytes, error: type[Exception], says: str) -> None:
    once = Patience(unreachable=0)
    with talking_to(answer(status, body, Location=f"{LOGIN}?rd=x"), patience=once) as (_, client):
        with pytest.raises(error, match=says) as caught:
            client.change("POST", "/api/x", admin=True)
        assert type(caught.value) is error
        assert "rd=" not in str(caught.value)
        assert ".. " not in str(caught.value)
        if isinstance(caught.value, NotDvid):
            assert caught.value.perhaps_done == (status >= 500 or status < 300)


def test_a_panic_over_the_repo_says_what_it_leaves_behind() -> None:
    panic = b"Panic detected on request 12:\nruntime error: index out of range [4] with length 4\n"
    with (
        talking_to(answer(500, panic)) as (_, client),
        pytest.raises(ServerFailed, match="answers no commit and no new version anymore, start it anew"),
    ):
        client.read_json(repo_path("abc", "info"))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"status": "ok"}', b'{"MutationID"'])
def test_an_answer_that_is_not_the_one_promised(body: bytes) -> None:
    with talking_to(answer(200, body)) as (_, client), pytest.raises(NotDvid) as caught:
        client.change_json("POST", "/api/x", "MutationID")
    assert caught.value.perhaps_done


def test_a_page_is_no_value() -> None:
    page = answer(200, PAGE, Content_Type="text/html")
    with talking_to(page, answer(200, PAGE), answer(200, PAGE, Content_Type=BINARY)) as (_, client):
        for _ in range(2):
            with pytest.raises(NotDvid):
                client.read("/api/x", kind=BINARY)
        assert client.read("/api/x", kind=BINARY) == PAGE


def test_a_page_in_place_of_a_bodys_last_change_names_the_server_and_the_field() -> None:
    page = answer(200, PAGE, Content_Type="text/html")
    with talking_to(page) as (_, client), pytest.raises(NotDvid) as caught:
        Labelmap(client, "segmentation").last_mod("abc", 7)
    assert client.url in str(caught.value)
    assert "Check destinations[copy].url" in str(caught.value)


def test_a_gateway_that_passes_is_asked_again() -> None:
    with talking_to(answer(502, PAGE), answer(504, PAGE), answer(200, b"[1]")) as (server, client):
        assert client.read_json("/api/x") == [1]
        assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("status", "body", "there"),
    [
        (404, b"", None),
        (404, b'Key "x" not found\n', None),
        (404, b'Reference "x" not found\n', None),
        (404, b"Could not find the URL: /api/x\n", None),
        (200, b"", b""),
    ],
)
def test_what_is_not_there(status: int, body: bytes, there: bytes | None) -> None:
    with talking_to(answer(status, body)) as (_, client):
        assert client.read_or_none("/api/x") == there


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with DvidClient(f"http://127.0.0.1:{port}", patience=Patience(unreachable=0.1)) as client:
        with pytest.raises(ServerUnreachable):
            client.change("POST", "/api/x")
        with pytest.raises(ServerUnreachable):
            client.read("/api/x")


def test_tokens_are_sent_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shown = []
    echo = f"Authorization: Bearer {TOKEN} ?admintoken={ADMIN_TOKEN}"
    answers = (
        answer(200),
        answer(400, f"{echo} (/api/x)".encode(), X_Echo=echo),
        None,
        answer(500, echo.encode()),
        answer(302, b"", Location=f"https://x.example.org/{ADMIN_TOKEN}?rd={ADMIN_TOKEN}"),
        answer(200, echo.encode()),
        answer(403, echo.replace("-", "%2D").encode()),
        f"{echo}\r\n\r\n".encode(),
    )
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


def test_a_user_as_go_quotes_it() -> None:
    """Seen on a real DVID, whose answer is no JSON then."""
    said = rb'{"mutation id": 7, "last mod user": "a\x01\\x02\U0001f600", "last mod app": "\a", '
    said += b'"last mod time": "" }'
    with talking_to(answer(200, said, Content_Type="application/json")) as (_, client):
        last = Labelmap(client, "segmentation").last_mod("abc", 1)
    assert last == LastMod(7, "a\x01\\x02\U0001f600", "\a", "")
