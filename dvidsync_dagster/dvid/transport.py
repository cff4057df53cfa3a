"""What the requests of each API of DVID need of whatever carries them to a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import IO, Any, Protocol

from dvidsync_dagster.dvid.patience import MANY, STREAMED

Query = Mapping[str, str | int]
Body = bytes | IO[bytes]

BINARY = "application/octet-stream"
JSON = "application/json"
TAR = "application/tar"
NO_TEXT = "no text"
"""What DVID lets Go's library guess: it can be taken for an icon, but not for text. Nothing has no type."""


class Transport(Protocol):
    """One DVID server, for use by several threads. `http.DvidClient` is one.

    Whoever implements it gives every read the user under whom reading is logged, repeats a read that failed
    for a reason that passes, never sends a change a second time unless the server has not looked at it, keeps
    to the server's `Limiter`, and tells DVID's own answers from those of somebody before it (`answer`).
    Paths are quoted, see `paths`.
    """

    @property
    def url(self) -> str:
        """The server's address, without a slash at its end."""
        ...

    @property
    def user(self) -> str:
        """Under whom it changes something, where a change does not bring its own."""
        ...

    @property
    def app(self) -> str:
        """As whom (``app=``) it changes something, where a change does not bring its own."""
        ...

    @property
    def has_admin_token(self) -> bool: ...

    @property
    def changes_sent(self) -> int:
        """How many requests it has sent that change something."""
        ...

    # Reading

    def read(
        self,
        path: str,
        *,
        query: Query | None = None,
        body: bytes | None = None,
        limit: int = MANY,
        kind: str | None = None,
    ) -> bytes:
        """GET, repeated while the server does not answer.

        Args:
            body: DVID takes bodies on GET.
            limit: bytes that the answer may have, unpacked.
            kind: the content type that DVID gives this answer, such as `BINARY`; None if it tells nothing.

        Raises:
            RequestRefused: DVID's own 4xx.
            LoginRefused, NotDvid: somebody before it answers.
            ServerUnreachable, ServerBusy, ServerFailed: still no answer, or 5xx.
        """
        ...

    def read_json(self, path: str, *, query: Query | None = None, body: Any = None, limit: int = MANY) -> Any:
        """GET and decode JSON; `body` is sent as JSON. Raises as `read`, and NotDvid for what is no JSON."""
        ...

    def read_or_none(
        self, path: str, *, query: Query | None = None, limit: int = MANY, kind: str | None = None
    ) -> bytes | None:
        """GET; None for DVID's own 404. Raises as `read`."""
        ...

    def stream(
        self,
        path: str,
        *,
        query: Query | None = None,
        body: bytes | None = None,
        limit: int = STREAMED,
        kind: str | None = None,
    ) -> AbstractContextManager[Iterator[bytes]]:
        """GET whose answer comes piece by piece. It is not repeated: whoever reads it begins anew.

        The thread may ask for something else meanwhile; what has not come yet then goes to a file.

        Raises:
            RequestRefused, LoginRefused, NotDvid, ServerBusy, ServerFailed: as for `read`.
            ServerUnreachable: no connection, or it broke while the answer was read.
        """
        ...

    # Changing

    def change(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Body = b"",
        user: str | None = None,
        app: str | None = None,
        admin: bool = False,
    ) -> None:
        """A request that changes something and whose answer, if it is done, has no content. Sent once, or
        again after an answer by which it was not looked at.

        Args:
            body: a file is sent from its beginning, piece by piece.
            user, app: in place of the server's usual ones ("" sends none).
            admin: the admin token goes along, if there is one.

        Raises:
            ForeignVersion: it may not be changed; nothing was sent.
            RequestRefused: DVID's own 4xx, nothing has changed (but a failed cleave has burned an id).
            LoginRefused, ServerBusy, ServerReadOnly: nothing has changed.
            NotDvid: somebody before the server answered; see its `perhaps_done`.
            ServerUnreachable: it was not sent.
            AnswerLost: it was sent, or may have been, and the answer never came.
            ServerFailed: 5xx; it may be done in part.
        """
        ...

    def change_json(
        self,
        method: str,
        path: str,
        *fields: str,
        query: Query | None = None,
        body: bytes = b"",
        user: str | None = None,
        app: str | None = None,
        admin: bool = False,
    ) -> dict[str, Any]:
        """A change that answers with a JSON object that has these fields. Raises as `change`, and NotDvid for
        any other answer."""
        ...

    def as_administrator(self) -> AbstractContextManager[None]:
        """What this thread changes meanwhile, it changes with the admin token (if there is one)."""
        ...
