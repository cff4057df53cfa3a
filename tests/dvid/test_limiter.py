"""Never more requests under way at a server than the configuration says, whoever asks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dvid_sandbox.broker import EmbeddedBroker
from dvidsync_dagster.compare.comparison import compare
from dvidsync_dagster.dvid.answer import Asked
from dvidsync_dagster.dvid.http import DvidClient
from dvidsync_dagster.dvid.limiter import Beside, Limiter, limiter_of
from dvidsync_dagster.dvid.paths import node_path, repo_path
from dvidsync_dagster.dvid.patience import Patience
from dvidsync_dagster.errors import ServerUnreachable
from dvidsync_dagster.repair.repairing import repair
from tests.datatypes.source_and_destination import scene, template
from tests.dvid.counting import Counter, counting
from tests.two_servers import TOKEN_ENV, TwoServers, two_sandboxes

NUMBERS = [1, 3]


# What a limiter does


def test_one_server_has_one_limiter() -> None:
    assert limiter_of("http://a.example.org") is limiter_of("HTTP://A.example.org:80/dvid")
    assert limiter_of("http://a.example.org") is not limiter_of("https://a.example.org")
    assert limiter_of("http://a.example.org:1") is not limiter_of("http://a.example.org:2")


class Somebody:
    """A client, as far as a limiter is concerned."""


def silent(_seconds: float) -> None:
    """Nobody wants to hear of it."""


def test_the_smallest_number_holds() -> None:
    limiter, one, other = Limiter(), Somebody(), Somebody()
    limiter.join(one, 1)
    limiter.join(other, 2)
    second = threading.Event()

    def ask() -> None:
        with limiter.place(60, silent):
            second.set()

    with limiter.place(60, silent):
        thread = threading.Thread(target=ask)
        thread.start()
        assert not second.wait(0.05)
        limiter.leave(one)
        assert second.wait(5)
    thread.join()
    assert limiter.under_way == 0


def test_who_waits_long_says_so() -> None:
    limiter, client = Limiter(), Somebody()
    limiter.join(client, 1)
    told: list[float] = []
    both = threading.Event()

    def tell(seconds: float) -> None:
        told.append(seconds)
        if len(told) == 2:
            both.set()

    def ask() -> None:
        with limiter.place(0.01, tell):
            pass

    with limiter.place(60, silent):
        thread = threading.Thread(target=ask)
        thread.start()
        assert both.wait(5)
    thread.join()
    assert told[:2] == [0.01, 0.02]


def test_a_place_is_free_again_after_an_error() -> None:
    limiter, client = Limiter(), Somebody()
    limiter.join(client, 1)
    for _ in range(3):
        with pytest.raises(KeyError), limiter.place(60, silent):
            raise KeyError
    assert limiter.under_way == 0


# What is under way with what


class Asking:
    """Requests of one kind after the other, each in its thread, that end when they are told to."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self._ends: list[threading.Event] = []
        self._threads: list[threading.Thread] = []

    def ask(self, beside: Beside) -> threading.Event:
        """What is set as soon as it has a place. It waits for one, or has it, when this returns."""
        has, waits, end = threading.Event(), threading.Event(), threading.Event()

        def hold() -> None:
            with self._limiter.place(0.01, lambda _: waits.set(), beside):
                has.set()
                waits.set()
                assert end.wait(30)

        self._ends.append(end)
        self._threads.append(threading.Thread(target=hold))
        self._threads[-1].start()
        assert waits.wait(30)
        return has

    def end(self, *numbers: int) -> None:
        for number in numbers:
            self._ends[number].set()
            self._threads[number].join()


def test_no_change_is_under_way_while_the_repo_is_read() -> None:
    limiter = Limiter()
    asking = Asking(limiter)
    change, other = asking.ask(Beside.CHANGES), asking.ask(Beside.CHANGES)
    assert change.is_set()
    assert other.is_set()
    repo = asking.ask(Beside.READS)
    later = asking.ask(Beside.CHANGES)
    read = asking.ask(Beside.ANY)
    assert read.is_set()
    assert not repo.is_set()
    assert not later.is_set()
    asking.end(0)
    assert not repo.is_set()
    asking.end(1)
    assert repo.wait(30)
    assert not later.is_set()
    asking.end(2)
    assert later.wait(30)
    asking.end(3, 4)
    assert limiter.under_way == 0


def test_the_repo_is_read_once_at_a_time() -> None:
    asking = Asking(Limiter())
    first, second = asking.ask(Beside.READS), asking.ask(Beside.READS)
    assert first.is_set()
    assert not second.is_set()
    asking.end(0)
    assert second.wait(30)
    asking.end(1)


@contextmanager
def holding_changes() -> Iterator[tuple[str, threading.Event, threading.Event, list[str]]]:
    """A server that answers a merge when it is told to; when that has come; and all that it was asked."""
    came, answers, asked = threading.Event(), threading.Event(), list[str]()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            self._answer(b"{}")

        def do_POST(self) -> None:
            came.set()
            assert answers.wait(30)
            self._answer(b"")

        def _answer(self, content: bytes) -> None:
            asked.append(self.path.rpartition("/")[2])
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", came, answers, asked
        server.shutdown()
    thread.join(5)


def test_a_client_reads_the_repo_when_its_changes_have_ended() -> None:
    waits = threading.Event()

    class Telling(DvidClient):
        def _tell_of_queue(self, asked: Asked, seconds: float) -> None:
            waits.set()

    with (
        holding_changes() as (url, came, answers, asked),
        Telling(url, user="", app="", patience=Patience(word=0.05)) as client,
        ThreadPoolExecutor(2) as pool,
    ):
        change = pool.submit(client.change, "POST", node_path("abc", "segmentation", "merge"))
        assert came.wait(30)
        repo = pool.submit(client.read_json, repo_path("abc", "info"))
        assert waits.wait(30)
        client.read_json(node_path("abc", "segmentation", "mapping"))
        assert asked == ["mapping"]
        answers.set()
        change.result(30)
        repo.result(30)
        assert asked == ["mapping", "merge", "info"]


# Streamed answers


@contextmanager
def stepwise(pieces: int) -> Iterator[tuple[str, list[int]]]:
    """A server whose ``/long`` comes in pieces of 100,000 bytes, and how many requests were under way at each
    request."""
    seen: list[int] = []
    lock, now = threading.Lock(), [0]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            with lock:
                now[0] += 1
                seen.append(now[0])
            parts = [bytes(100_000)] * pieces if self.path == "/long" else [b"[1]"]
            broken = self.path == "/broken"
            self.send_response(200)
            self.send_header("Content-Length", str(sum(map(len, parts)) + 9 * broken))
            self.end_headers()
            for part in parts[:-1]:
                self.wfile.write(part)
            with lock:
                now[0] -= 1
            self.wfile.write(parts[-1])
            self.close_connection = broken

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
    thread.join(5)


def test_who_reads_an_answer_can_ask_for_something_else() -> None:
    """With one request at a time, the rest of the answer is read first."""
    with stepwise(200) as (url, seen), DvidClient(url, requests_in_flight=1) as client:
        with client.stream("/long") as pieces:
            size = len(next(pieces))
            assert client.read_json("/short") == [1]
            with client.stream("/long") as others:
                assert client.read_json("/short") == [1]
                assert sum(map(len, others)) == 20_000_000
            size += sum(map(len, pieces))
        assert size == 20_000_000
        assert set(seen) == {1}


def test_readers_do_not_wait_for_each_other() -> None:
    with stepwise(50) as (url, seen), DvidClient(url, requests_in_flight=2) as client:
        together = threading.Barrier(2)

        def read(_: int) -> int:
            with client.stream("/long") as pieces:
                size = len(next(pieces))
                together.wait(10)
                client.read_json("/short")
                return size + sum(map(len, pieces))

        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(read, range(2))) == [5_000_000] * 2
        assert max(seen) <= 2


def test_an_answer_that_breaks_off_frees_its_place() -> None:
    """Also where the reader still holds on to it."""
    with (
        stepwise(1) as (url, _),
        DvidClient(url, requests_in_flight=1, patience=Patience(unreachable=0)) as client,
    ):
        with client.stream("/broken") as pieces:
            with pytest.raises(ServerUnreachable):
                list(pieces)
            assert limiter_of(url).under_way == 0
            assert client.read_json("/short") == [1]
        with client.stream("/broken") as pieces:
            assert client.read_json("/short") == [1]
            assert next(pieces) == b"[1]"
            with pytest.raises(ServerUnreachable):
                next(pieces)


def test_an_answer_that_nobody_reads_to_its_end_frees_its_place() -> None:
    with stepwise(200) as (url, _), DvidClient(url, requests_in_flight=1) as client:
        with client.stream("/long") as pieces:
            next(pieces)
        assert limiter_of(url).under_way == 0
        assert client.read_json("/short") == [1]


def test_two_clients_of_a_server_share_its_places() -> None:
    with (
        stepwise(50) as (url, seen),
        DvidClient(url, requests_in_flight=2) as one,
        DvidClient(url, requests_in_flight=3) as other,
        ThreadPoolExecutor(8) as pool,
    ):
        answers = list(pool.map(lambda client: client.read("/long"), [one, other] * 10))
        assert {len(answer) for answer in answers} == {5_000_000}
        assert max(seen) == 2


# A run, a comparison, a repair


def server(counter: Counter, number: int, **fields: Any) -> dict[str, Any]:
    return {"url": counter.url, "requests_in_flight": number, **fields}


def assert_bounded(counter: Counter, number: int, reader: str) -> None:
    assert counter.requests > 10
    assert counter.most == number
    assert counter.readers == {reader}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    return template(tmp_path_factory.mktemp("made") / "server")


@pytest.mark.parametrize("number", NUMBERS)
def test_a_run(number: int, tmp_path: Path, made: tuple[Path, str]) -> None:
    with (
        EmbeddedBroker.start() as broker,
        scene(tmp_path, broker, made) as two,
        counting(two.source.url, number + 1) as source,
        counting(two.destination.url, number + 1) as copy,
    ):
        for label in range(1, 40, 2):
            two.post("segmentation/merge", json=[label, label + 1])
        for label in range(41, 49):
            two.post("segmentation/merge", json=[label, label + 8])
            two.post(f"segmentation/cleave/{label}", json=[label + 8])
        for place in range(20):
            two.post(two.key("segmentation_annotations", f"k{place}"), body=b"value")
            two.post("synapses/elements", json=[element(3 * place)])
        two.sync(
            source=server(source, number, user="reader"),
            changed=server(copy, number, user="writer"),
        )
        two.assert_same()
        assert_bounded(source, number, "reader")
        assert_bounded(copy, number, "writer")


def element(place: int) -> dict[str, Any]:
    return {"Pos": [place, place, place], "Kind": "PreSyn", "Tags": [], "Prop": {}, "Rels": []}


@contextmanager
def apart(
    folder: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[TwoServers, Counter, Counter, dict[str, Any]]]:
    """Two servers that differ in each data type, with a counter before each, and their configuration."""
    monkeypatch.setattr("dvidsync_dagster.datatypes.keyvalue.comparison.KEYS_PER_REQUEST", 3)
    monkeypatch.setattr("dvidsync_dagster.datatypes.keyvalue.batches.MAX_KEYS", 3)
    monkeypatch.setattr("dvidsync_dagster.datatypes.keyvalue.batches.MAX_BYTES", 10)
    monkeypatch.setattr("dvidsync_dagster.datatypes.annotation.repair.POINTS_PER_COMMAND", 2)
    with ExitStack() as stack:
        servers = stack.enter_context(two_sandboxes(folder))
        monkeypatch.setenv(TOKEN_ENV, servers.destination.server.admin_token)
        source, copy = (
            stack.enter_context(counting(side.server.url, number + 1))
            for side in (servers.source, servers.destination)
        )
        servers.source.put(**{f"key{place}": b"value" for place in range(20)})
        # A key that is no UTF-8: all that can be meant by its name are looked for.
        servers.source.post("segmentation_annotations/key/odd%FF", b"odd")
        for body in range(10, 20):
            servers.source.neuron(body, type="C")
        for place in range(3, 40, 2):
            servers.source.element(place, place, 5)
        for label in range(10, 40, 2):
            servers.source.merge(label, label + 1)
        yield (
            servers,
            source,
            copy,
            {
                "source": server(source, number, user="reader"),
                "destinations": [server(copy, number, user="writer", name="copy", admin_token_env=TOKEN_ENV)],
            },
        )


@pytest.mark.parametrize("number", NUMBERS)
def test_a_comparison_and_a_repair(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with apart(tmp_path, number, monkeypatch) as (servers, source, copy, changes):
        config = servers.config(**changes)
        comparison = compare(config, config.destinations[0])
        assert {row.instance for row in comparison.differences} >= {
            "segmentation",
            "segmentation_annotations",
            "neurons",
            "synapses",
        }
        assert max(source.most, copy.most) <= number
        done = repair(config, config.destinations[0], dry_run=False, still_owner=lambda: None)
        assert not done.not_repaired
        assert servers.differences() == []
        assert (source.readers, copy.readers) == ({"reader"}, {"writer"})
        assert max(source.most, copy.most) <= number
        assert copy.most == number
