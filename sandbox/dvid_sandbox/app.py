"""The server as an ASGI application: takes requests one after the other, answers them in DVID's words.

Besides DVID's own API (``/api/…``) there is ``/sandbox/…``: `faults`, `traffic`, and what DVID's operators do
at the command line (`rename`, `delete`) or would have to wait for (`cubes`, a volume by formula).
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

from pydantic import ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dvid_sandbox import about
from dvid_sandbox.about import Configuration
from dvid_sandbox.datastore import Datastore
from dvid_sandbox.exchange import TEXT, Answer, Exchange, Lacking, Moment, Refused, Torn
from dvid_sandbox.faults import Fault, Faults
from dvid_sandbox.golang import go_bytes, go_json
from dvid_sandbox.instance import Settings
from dvid_sandbox.journal import Entry, Journal
from dvid_sandbox.labelmap import Labelmap
from dvid_sandbox.reading import read_json_object
from dvid_sandbox.traffic import Traffic
from dvid_sandbox.volume_writes import put_cubes
from dvid_sandbox.voxels import Cubes

if TYPE_CHECKING:
    from dvid_sandbox.publish import Publisher

logger = logging.getLogger(__name__)
START = "START"
NO_HEADERS: Mapping[str, str] = {}


class App:
    """A server in its folder. Building it plays the journal back."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._faults = Faults()
        self._traffic = Traffic()
        self._datastore = Datastore()
        self._last = 0
        self._journal = Journal(configuration.folder)
        self._play_back()
        self._started = self._start()
        self._publisher: Publisher | None = None
        if configuration.kafka:
            # Last, for it waits for the broker; and loaded here, for that takes longer than all the rest.
            from dvid_sandbox.publish import Publisher

            self._publisher = Publisher(configuration.kafka, configuration.topic_prefix)

    def close(self) -> None:
        if self._publisher is not None:
            self._publisher.close()
        self._journal.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:
            # A request that never came in whole is not one.
            return
        method, path = request.method, unquote(scope["raw_path"].decode("ascii"), errors="surrogateescape")
        if path == "/sandbox/traffic":
            answer: Answer | None = self._told_traffic(method)
        else:
            with self._traffic.request(method, path, body):
                answer = await self._meet_faults(request, method, path, body)
        if answer is None:
            await _drop_connection(receive, send)
            return
        headers = dict(answer.headers)
        if answer.content_type is not None:
            headers["content-type"] = answer.content_type
        if answer.status == 204:
            await Response(status_code=204, headers=headers)(scope, receive, send)
        else:
            await Response(answer.body, answer.status, headers)(scope, receive, send)

    async def _meet_faults(self, request: Request, method: str, path: str, body: bytes) -> Answer | None:
        """None stands for a connection that is dropped."""
        fault = None if path.startswith("/sandbox/") else self._faults.strike(method, path)
        if fault is not None:
            await fault.hold()
        # From here to the answer there is no await: requests are handled one after the other.
        query = request.scope["query_string"].decode("ascii", "replace")
        return self._stranger(path, request) or self._answer(
            method, path, query, body, fault, request.headers
        )

    def _told_traffic(self, method: str) -> Answer:
        if method == "DELETE":
            self._traffic.forget()
        return Answer.json(go_json(self._traffic.told()))

    def _stranger(self, path: str, request: Request) -> Answer | None:
        """What somebody without the token gets to hear, in DVID's words."""
        wanted = self._configuration.token
        if wanted is None or not path.startswith(("/api/repo/", "/api/node/")):
            return None
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        given = token if kind == "Bearer" else request.cookies.get("dsg_token", "")
        if secrets.compare_digest(given.encode(), wanted.encode()):
            return None
        wrong = "error parsing JWT: token is malformed" if given else None
        text = wrong or "JWT required via Authorization in request header"
        return Answer(400, TEXT, f"{text} ({path}).\n".encode())

    def _answer(
        self,
        method: str,
        path: str,
        query: str,
        body: bytes,
        fault: Fault | None,
        headers: Mapping[str, str],
    ) -> Answer | None:
        """None stands for a connection that is dropped."""
        kind = "" if fault is None else fault.kind
        if kind == "kill-before":
            _kill()
        if kind == "drop-before":
            return None
        if kind == "unavailable":
            return Answer(503, TEXT, b"DVID server is unavailable.\n")
        given: dict[str, str] = {}
        for name, value in parse_qsl(query, keep_blank_values=True):
            given.setdefault(name, value)
        token = given.pop("admintoken", None)
        admin = token is not None and secrets.compare_digest(
            token.encode(), (self._configuration.admin_token or secrets.token_hex()).encode()
        )
        if path == "/sandbox/faults":
            return self._ask_faults(body)
        tear_at = fault.at if fault is not None and kind == "kill-torn" else None
        answer = self._take(method, path, given, body, admin, tear_at, kind != "kill-unpublished", headers)
        if kind.startswith("kill"):
            if self._publisher is not None:
                self._publisher.flush()
            _kill()
        return None if kind == "drop-after" else answer

    def _take(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        body: bytes,
        admin: bool,
        tear_at: str | None,
        publish: bool,
        headers: Mapping[str, str],
    ) -> Answer:
        entry = Entry(method, path, query, admin, self._now(), secrets.token_hex(8), tear_at)
        exchange, answer = self._handle(entry, body, headers)
        if method not in ("GET", "HEAD"):
            self._journal.append(entry, body)
        if self._publisher is not None and publish:
            self._publisher.publish(exchange.messages)
        return answer

    def _handle(
        self, entry: Entry, body: bytes, headers: Mapping[str, str] = NO_HEADERS
    ) -> tuple[Exchange, Answer]:
        moment = Moment(entry.nanoseconds, bytes.fromhex(entry.seed), self._started)
        exchange = Exchange(
            entry.method, entry.path, entry.query, body, entry.admin, moment, entry.tear_at, headers=headers
        )
        try:
            if entry.path.startswith("/sandbox/"):
                answer = self._own(exchange)
            elif entry.path.startswith("/api/server/") or entry.path in about.ALONE:
                answer = about.serve(exchange, self._configuration, moment.nanoseconds, self._started)
            else:
                answer = self._datastore.handle(exchange)
        except Refused as error:
            answer = Answer(400, TEXT, go_bytes(f"{error} ({entry.path}).\n"))
        except Lacking as error:
            answer = Answer(501, TEXT, go_bytes(f"the sandbox lacks {error}\n"))
        except Torn as error:
            answer = Answer(500, TEXT, f"torn at {error}\n".encode())
        except Exception:
            # Go's server goes on after a panic, and so does this one.
            logger.exception("%s %s", entry.method, entry.path)
            answer = Answer(500, TEXT, b"Panic detected on request; see the server's log\n")
        self._last = max(self._last, moment.nanoseconds)
        return exchange, answer

    def _now(self) -> int:
        """Time in nanoseconds that only grows, over restarts, too."""
        return max(time.time_ns(), self._last + 1)

    def _play_back(self) -> None:
        for entry, body in self._journal.read():
            if entry.method == START:
                self._begin(entry)
            else:
                self._handle(entry, body)

    def _start(self) -> int:
        settings = self._configuration.settings
        entry = Entry(
            START,
            "",
            {
                "mutation_list": str(settings.mutation_list),
                "split_endpoint": str(settings.split_endpoint),
                "minimum_mutation_id": str(self._configuration.minimum_mutation_id),
            },
            False,
            self._now(),
            "",
        )
        self._journal.append(entry, b"")
        self._begin(entry)
        return entry.nanoseconds

    def _begin(self, entry: Entry) -> None:
        self._started = self._last = entry.nanoseconds
        settings = Settings(entry.query["mutation_list"] == "True", entry.query["split_endpoint"] == "True")
        self._datastore.server_started(settings, int(entry.query["minimum_mutation_id"]))

    def _own(self, exchange: Exchange) -> Answer:
        """What an operator does at the real server's command line, and volumes by formula."""
        given = read_json_object(exchange.body, "sandbox")
        match [exchange.method, *exchange.path.split("/")[2:]]:
            case ["POST", "cubes"]:
                place = self._datastore.find(str(given["uuid"]))
                instance = place.repo.instance(str(given["data"]))
                if not isinstance(instance, Labelmap):
                    raise Refused(f"{instance.name} is no labelmap")
                x, y, z = (int(each) for each in given["size"])
                put_cubes(
                    instance,
                    place,
                    Cubes((x, y, z), int(given["cube"]), int(given.get("first", 1)), instance.edge),
                )
            case ["POST", "rename"]:
                self._datastore.rename(exchange, str(given["uuid"]), str(given["from"]), str(given["to"]))
            case ["POST", "delete"]:
                self._datastore.delete(exchange, str(given["uuid"]), str(given["data"]))
            case _:
                return Answer.missing("the sandbox knows cubes, rename, delete, faults and traffic")
        return Answer()

    def _ask_faults(self, body: bytes) -> Answer:
        try:
            self._faults.ask(body)
        except ValidationError as error:
            return Answer(400, TEXT, f"{error}\n".encode())
        return Answer()


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def _drop_connection(receive: Receive, send: Send) -> None:
    """Closes the connection without an answer, which ASGI cannot say: uvicorn's `send` can."""
    send.__self__.transport.abort()  # type: ignore[attr-defined]
    while (await receive())["type"] != "http.disconnect":
        pass
