"""Whose answer is it, and what does it say?

DVID's own answers are easily told from those of proxies, gateways and login pages before it. Success is 200
and nothing else. What is wrong with a request it says with 400 and a text that names the path in brackets;
what is not there with 404, without a body or with one of three texts. A panic is 500, too much work 503.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import NoReturn
from urllib.parse import unquote_to_bytes, urlsplit

from dvidsync_dagster.dvid.paths import concerns_repo
from dvidsync_dagster.dvid.refusal import reason_of
from dvidsync_dagster.errors import (
    LoginRefused,
    NotDvid,
    RequestRefused,
    ServerBusy,
    ServerError,
    ServerFailed,
    ServerReadOnly,
)
from dvidsync_dagster.outgoing_text import escaped

_MISSING = ('Key "', 'Reference "')
_LOGIN = (
    "JWT required",
    "error parsing JWT",
    "failed authorization",
    "dsg token required",
    "invalid DSG token",
    "dsg auth requires",
)
_STRANGER = re.compile(
    r"user .{0,500} (is not authorized|is not a simple string|does not have sufficient access)"
)
_READ_ONLY = ("Server in read-only mode", "Cannot POST on repo endpoint in read-only mode")
_ADMIN = re.compile(r"(GET|POST) /\S+ requires admin privileges|Cannot do \S+ on .{0,100}locked node")
_BUSY = ("DVID server is unavailable", "Server already running")
_PANIC = "Panic detected on request"
_STAYS_LOCKED = (
    ". The repo can be locked for good by that: if the server answers no commit and no new version anymore, "
    "start it anew"
)
_BLOCKED = " is blocked: "
_FAULTS = ("bad write of log", "append log", "file already closed")
"""What DVID answers with 400 though the request was good: it could not write its own mutation log, which
happens when somebody reads that log (`GET mutations`) at the same moment."""

_NEVER_DVID = {
    402: "DVID asks for no payment",
    405: "something before it does not let this method pass",
    407: "a proxy asks for a login of its own; check the proxy, or go around it",
    413: "something before it takes no request of this size; raise its limit",
    414: "something before it takes no address of this length; raise its limit",
    431: "something before it takes no headers of this size; raise its limit",
    451: "something before it withholds the answer",
}
_COME_AGAIN = (408, 425, 429)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as far as it matters for its answer.

    Args:
        server: the server's address.
        place: its field in the configuration, such as ``destinations[copy]``.
        method, path: the path without query, quoted.
        changes: it changes something, if it is carried out.
        token, admin_token: which were sent along.
    """

    server: str
    place: str
    method: str
    path: str
    changes: bool
    token: bool
    admin_token: bool

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def address(self) -> str:
        """Method and address, without query."""
        return f"{self.method} {self.server}{self.path}"

    def field(self, name: str) -> str:
        return f"{self.place}.{name}" if self.place else name

    def not_dvid(
        self, found: str, *, status: int | None = None, after: float | None = None, done: bool | None = None
    ) -> NotDvid:
        """The error for an answer that is not DVID's own.

        Args:
            found: what was wrong with it.
            status: of HTTP, if there was one; from 500 on it passes by itself.
            after: seconds after which to ask again, if the answer says so.
            done: whether the request may be carried out nevertheless; None: if it changes something.
        """
        perhaps = self.changes if done is None else done
        return NotDvid(
            str(self),
            f"{self.server} {found}",
            perhaps_done=perhaps,
            passing=status is not None and status >= 500,
            retry_after=after,
        )


def _tells_of_repo(asked: Asked) -> bool:
    return not asked.changes and concerns_repo(asked.method, asked.path)


def raise_for(asked: Asked, status: int, headers: Mapping[str, str], body: bytes) -> NoReturn:
    """Raise what an answer other than 200 means.

    Args:
        headers: their names in lower case, or a mapping that takes them in any case.
        body: what was read of it.
    """
    text = body.decode("utf-8", "replace")
    after = retry_after(headers.get("retry-after"))
    # The path comes after it, and with it a key, which can be any words.
    said = text.partition(f" ({unquote_to_bytes(asked.path).decode('utf-8', 'replace')})")[0]
    told = f"{asked.server} answered {status}: {_said(text)}"
    error: ServerError
    if 300 <= status < 400:
        error = _redirected(asked, status, headers.get("location", ""))
    elif status in (401, 403) or _names_login(asked, body, said):
        error = _login_refused(asked, status, text)
    elif status == 429 and _BLOCKED in text:
        error = LoginRefused(str(asked), told, asked.field("user"))
    elif status == 400 and asked.changes and text.startswith(_READ_ONLY):
        error = ServerReadOnly(
            str(asked), f"{asked.server} is in read-only mode: {_said(text)}. Run again when it takes changes"
        )
    elif _is_own_refusal(asked, status, body):
        error = _refused(asked, status, text, said)
    elif status in _COME_AGAIN or (status == 503 and text.startswith(_BUSY)):
        error = ServerBusy(str(asked), told + _when(after), after)
    elif status == 502 and _names_path(asked, body):
        error = ServerBusy(str(asked), f"{asked.server} cannot check logins now: {_said(text)}", after)
    elif status == 500 and text.startswith(_PANIC):
        error = ServerFailed(str(asked), told + (_STAYS_LOCKED if _tells_of_repo(asked) else ""))
    else:
        error = _somebody_else(asked, status, text, after)
    raise error


def _redirected(asked: Asked, status: int, location: str) -> NotDvid:
    # Its query repeats what was asked for, and perhaps a token.
    try:
        parts = urlsplit(location)
        target = f" to {escaped(f'{parts.scheme}://{parts.netloc}{parts.path}', 200)}" if parts.netloc else ""
    except ValueError:
        target = ""
    return asked.not_dvid(
        f"answered {status}, a redirect{target}, which DVID never does: a proxy before it wants a login, or "
        f"the address has moved. Check {asked.field('url')} and {asked.field('token_env')}, and log in "
        f"there again",
        status=status,
        done=False,
    )


def _names_login(asked: Asked, body: bytes, said: str) -> bool:
    return _names_path(asked, body) and (said.startswith(_LOGIN) or _STRANGER.match(said) is not None)


def _login_refused(asked: Asked, status: int, text: str) -> LoginRefused:
    how = "" if asked.token else ", and no token was sent"
    return LoginRefused(
        str(asked), f"{asked.server} answered {status}{how}: {_said(text)}", asked.field("token_env")
    )


def _is_own_refusal(asked: Asked, status: int, body: bytes) -> bool:
    if status == 400:
        return _names_path(asked, body)
    if status == 404:
        return not body or body.startswith(tuple(each.encode() for each in _MISSING)) or _no_url(asked, body)
    return False


def _no_url(asked: Asked, body: bytes) -> bool:
    return body.strip() == b"Could not find the URL: " + unquote_to_bytes(asked.path)


def _names_path(asked: Asked, body: bytes) -> bool:
    return b"(" + unquote_to_bytes(asked.path) + b")" in body


def _refused(asked: Asked, status: int, text: str, said: str) -> ServerError:
    if any(fault in said for fault in _FAULTS):
        return ServerFailed(str(asked), f"{asked.server} answered {status}: {_said(text)}")
    if asked.admin_token and _ADMIN.match(said):
        # An administrator may do this: the server does not take the token for one.
        return LoginRefused(
            str(asked),
            f"{asked.server} does not take the admin token: {_said(text)}",
            asked.field("admin_token_env"),
        )
    return RequestRefused(str(asked), status, text, reason_of(status, said))


def _somebody_else(asked: Asked, status: int, text: str, after: float | None) -> NotDvid:
    why = _NEVER_DVID.get(status, "which is not DVID's own answer: something before it answers in its place")
    said = f" It says: {_said(text)}" if text.strip() else ""
    done = asked.changes and (status >= 500 or status < 300)
    return asked.not_dvid(
        f"answered {status}, {why}. Check {asked.field('url')}, and the proxy or gateway before it.{said}"
        f"{_when(after)}",
        status=status,
        after=after,
        done=done,
    )


def _said(text: str) -> str:
    return escaped(text.strip().removesuffix(".")) or "nothing"


def _when(after: float | None) -> str:
    return "" if after is None else f". It asks to come again in {after:,.0f} s"


def retry_after(header: str | None) -> float | None:
    """Seconds to wait, from a ``Retry-After`` in either form; None if there is none that makes sense."""
    if header is None or len(header) > 100:
        return None
    try:
        if header.strip().isascii() and header.strip().isdigit():
            return float(header)
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
