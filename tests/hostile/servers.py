"""How servers, and what stands before them, misbehave, and how a run must end then."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import orjson

from dvidsync_dagster.errors import (
    AnswerLost,
    DvidSyncError,
    LoginRefused,
    NotDvid,
    ServerBusy,
    ServerFailed,
    ServerReadOnly,
    ServerUnreachable,
)
from tests.hostile.proxy import PIECE, Answer, bomb

Work = Literal["all", "merges", "keys", "delete", "neuron", "element", "commit", "cleave"]
Outcome = type[DvidSyncError] | None

LOGIN = {"Location": "https://login.example.org/start?rd=x"}
HTML = {"Content-Type": "text/html"}
TYPED = {"Content-Type": "application/json"}
PAGE = b"<html><body>Please log in</body></html>"
LATER = {"Retry-After": "1000000000"}


@dataclass(frozen=True)
class Behaviour:
    """One way to misbehave.

    Args:
        side: who does.
        to: which requests meet it: ``changes``, ``reads``, ``all``, or those whose path holds this text.
        answer: what they get.
        ends: the error that the run ends with; None if it copes.
        says: a part of its message.
        work: what people do before it.
        first, last: the first and last of the requests that meet it (from 0); all by default.
        looks: the run comes after one that did not end in order.
    """

    name: str
    side: Literal["source", "destination"]
    to: str
    answer: Answer
    ends: Outcome
    says: str = ""
    work: Work = "all"
    first: int = 0
    last: int = 10**9
    looks: bool = False


def repo_of(*versions: tuple[str, int, list[int]]) -> bytes:
    """What a server tells of a repo with these versions: ids, numbers, and the numbers of their parents."""
    nodes = {
        uuid: {"VersionID": number, "Parents": parents, "Branch": "", "Locked": True, "Note": "", "Log": []}
        for uuid, number, parents in versions
    }
    return orjson.dumps({"Root": versions[0][0], "DAG": {"Nodes": nodes}, "DataInstances": {}})


def _table() -> Iterator[Behaviour]:
    def to(side: str, name: str, where: str, answer: Answer, ends: Outcome, says: str = "", **more: object):  # type: ignore[no-untyped-def]
        return Behaviour(f"{side} {name}", side, where, answer, ends, says, **more)  # type: ignore[arg-type]

    at, of = "destination", "source"
    moved = Answer(302, PAGE, headers=LOGIN)
    # Redirects: a login proxy whose session is over.
    for work in ("merges", "keys", "delete", "neuron", "element", "commit"):
        yield to(at, f"redirects changes ({work})", "changes", moved, NotDvid, "login.example.org", work=work)
    for status in (301, 303, 307, 308):
        yield to(
            at, f"redirects by {status}", "changes", Answer(status, PAGE, headers=LOGIN), NotDvid, "login"
        )
    yield to(at, "redirects all", "all", moved, NotDvid, "login.example.org")
    yield to(of, "redirects a value", "/key", moved, NotDvid, "source.token_env")
    yield to(of, "redirects in circles", "/info", Answer(302, headers={"Location": "/"}), NotDvid)
    # Logins.
    for status, work in ((401, "merges"), (403, "keys"), (401, "neuron"), (403, "element"), (401, "all")):
        refused = Answer(status, b"token expired")
        yield to(
            at, f"refuses by {status} ({work})", "changes", refused, LoginRefused, "token_env", work=work
        )
    expired = Answer(401, b"token expired")
    yield to(at, "refuses all after a while", "all", expired, LoginRefused, "destinations[copy]", first=8)
    yield to(of, "refuses to tell a value", "/key", expired, LoginRefused, "source.token_env", work="keys")
    yield to(of, "refuses all after a while", "all", expired, LoginRefused, "source.token_env", first=2)
    # Too much, not now.
    slow = Answer(429, b"slow down", headers=LATER)
    for work in ("merges", "keys", "all"):
        yield to(at, f"is busy ({work})", "changes", slow, ServerBusy, "1,000,000,000 s", work=work)
    yield to(at, "is busy for a moment", "changes", Answer(429, b"slow down"), None, last=1)
    yield to(at, "is busy when looked at", "/lastmod/", slow, ServerBusy, looks=True)
    yield to(of, "is busy when a value is asked for", "/key", slow, ServerBusy, work="keys")
    yield to(of, "is busy after a while", "all", slow, ServerBusy, first=2)
    yield to(at, "waits for the request", "changes", Answer(408), ServerBusy)
    yield to(at, "finds it too early", "changes", Answer(425), ServerBusy)
    yield to(at, "wants a login at the proxy", "changes", Answer(407, PAGE), NotDvid, "proxy")
    yield to(at, "withholds it", "changes", Answer(451, PAGE), NotDvid)
    only = b"Server in read-only mode and will only accept GET and HEAD requests"
    yield to(at, "is read-only", "changes", Answer(400, only), ServerReadOnly, "read-only")
    # Gateways.
    for status in (400, 404, 405, 413, 414):
        yield to(
            at, f"has a gateway that says {status}", "changes", Answer(status, PAGE, headers=HTML), NotDvid
        )
    for work in ("keys", "element"):
        lost = Answer(404, PAGE)
        yield to(at, f"has a gateway that knows no path ({work})", "changes", lost, NotDvid, work=work)
    yield to(at, "has a gateway that knows no bodies", "/lastmod/", Answer(404, PAGE), NotDvid, looks=True)
    yield to(at, "has a gateway that says nothing", "/lastmod/", Answer(404), ServerFailed, looks=True)
    yield to(of, "has a gateway that knows no values", "/key", Answer(404, PAGE), NotDvid, work="keys")
    yield to(of, "has a gateway without values", "/key/", Answer(404), NotDvid, work="keys")
    yield to(at, "has a gateway that fails", "changes", Answer(500, b"oops"), NotDvid)
    yield to(at, "has a gateway that is busy", "all", Answer(503, b"busy"), NotDvid)
    yield to(of, "has a gateway that fails for a moment", "all", Answer(502, PAGE), None, first=1, last=2)
    for nth in range(12):
        done = Answer(502, b"bad gateway", done=True)
        yield to(at, f"does change {nth}, and its gateway fails", "changes", done, None, first=nth, last=nth)
    # Pages and nonsense with 200.
    page, noise = Answer(200, PAGE, headers=HTML), Answer(200, b"\x00\xffgarbage")
    for work in ("merges", "keys", "delete", "neuron", "element", "commit"):
        yield to(at, f"answers changes with a page ({work})", "changes", page, NotDvid, work=work)
    yield to(at, "answers merges with nothing", "changes", Answer(), NotDvid, work="merges")
    yield to(at, "answers changes with 204", "changes", Answer(204), NotDvid)
    yield to(at, "answers changes with noise", "changes", noise, NotDvid)
    yield to(at, "answers all with noise", "all", noise, NotDvid)
    yield to(of, "answers a value with a page", "/key/", page, NotDvid, work="keys")
    bare = Answer(200, PAGE)
    yield to(of, "answers a value with a page without type", "/key/", bare, NotDvid, work="keys")
    for name, body, ends in (
        ("an empty object", b"{}", ServerFailed),
        ("a list", b"[]", ServerFailed),
        ("half of it", b'{"Root":"', NotDvid),
        ("deep JSON", b"[" * 200_000 + b"]" * 200_000, NotDvid),
        ("a huge number", b'{"DAG":{"Nodes":{"a":{"VersionID":' + b"9" * 100_000 + b"}}}}", DvidSyncError),
        ("infinity", b'{"Root":"x","DAG":{"Nodes":{"a":{"VersionID":Infinity}}}}', NotDvid),
        ("versions in a circle", repo_of(("a", 1, [2]), ("b", 2, [1])), ServerFailed),
        ("a version that comes from itself", repo_of(("a", 1, [1])), ServerFailed),
        ("one number for two versions", repo_of(("a", 1, []), ("b", 1, [])), ServerFailed),
    ):
        yield to(of, f"tells of the repo with {name}", "/repo/", Answer(200, body), ends)
    broken = Answer(200, b'{"Root":', promised=1000)
    yield to(of, "breaks off", "/repo/", broken, ServerUnreachable)
    for name, where, body in (
        ("mapping of words", "/mapping", b'["a"]'),
        ("changes of words", "/lastmod", b'{"mutation id":"x"}'),
        ("a negative counter", "GET /nextlabel", b'{"nextlabel":-5}'),
        ("a counter beyond all", "GET /nextlabel", b'{"nextlabel":1180591620717411303424}'),
    ):
        told = Answer(200, body, headers=TYPED)
        yield to(at, f"tells {name}", where, told, ServerFailed, looks=True)
    other = b'{"CleavedLabel": 3, "MutationID": 7}'
    done = Answer(200, other, done=True)
    yield to(at, "cleaves and tells of another body", "/cleave", done, None, work="cleave")
    lie = Answer(200, other)
    yield to(at, "tells of another body and cleaves nothing", "/cleave", lie, ServerFailed, work="cleave")
    # Without end.
    endless = Answer(200, PIECE, endless=True)
    yield to(of, "tells of the repo without end", "/repo/", endless, NotDvid, "bytes")
    yield to(of, "has a value without end", "/key/", endless, NotDvid, work="keys")
    yield to(at, "answers changes without end", "changes", endless, NotDvid, "bytes")
    yield to(
        of, "promises too much", "/repo/", Answer(200, PIECE, endless=True, promised=10 * 2**30), NotDvid
    )
    packed = Answer(200, bomb(64 * 2**20), headers={"Content-Encoding": "gzip"})
    yield to(of, "sends a bomb", "/repo/", packed, NotDvid, "bytes")
    twice = Answer(200, b"x", headers={"Content-Encoding": "gzip, gzip"})
    yield to(of, "sends a bomb in a bomb", "/repo/", twice, NotDvid, "gzip, gzip")
    yield to(at, "refuses at length", "changes", Answer(400, b"E" * 20_000_000), NotDvid)
    drip = Answer(200, b" ", endless=True, pause=0.1)
    yield to(of, "drips", "/repo/", drip, ServerUnreachable)
    yield to(at, "drips after changes", "changes", drip, AnswerLost, work="merges")
    yield to(at, "never answers", "changes", Answer(silent=True), AnswerLost, work="merges")


BEHAVIOURS = list(_table())
