"""One request to the sandbox and what comes of it: an answer, and messages for Kafka."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from dvid_sandbox.golang import go_time, rfc3339

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
BINARY = "application/octet-stream"


class Moment:
    """The time and the randomness of one request, so that the journal can play the request back.

    Args:
        nanoseconds: when the request was taken up; each look at the clock moves on by a microsecond.
        seed: what the UUIDs made by the request come from.
        started: when the server process started.
    """

    def __init__(self, nanoseconds: int, seed: bytes, started: int) -> None:
        self.nanoseconds = nanoseconds
        self.seed = seed
        self.started = started
        self._uuids = 0

    def now(self) -> int:
        self.nanoseconds += 1000
        return self.nanoseconds

    def go_time(self) -> str:
        return go_time(self.now(), self.started)

    def rfc3339(self) -> str:
        return rfc3339(self.nanoseconds)

    def uuid(self) -> str:
        self._uuids += 1
        return hashlib.md5(self.seed + self._uuids.to_bytes(4, "little")).hexdigest()


@dataclass
class Answer:
    """Status, content type (None without a body), body, and other headers."""

    status: int = 200
    content_type: str | None = None
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, body: bytes | str) -> Answer:
        return cls(200, JSON, body.encode() if isinstance(body, str) else body)

    @classmethod
    def text(cls, body: bytes | str) -> Answer:
        return cls(200, TEXT, body.encode() if isinstance(body, str) else body)

    @classmethod
    def binary(cls, body: bytes) -> Answer:
        return cls(200, BINARY, body)

    @classmethod
    def missing(cls, text: str | None = None) -> Answer:
        """404, with a line of text if there is something to say."""
        return cls(404) if text is None else cls(404, TEXT, f"{text}\n".encode())


class Refused(Exception):
    """The server answers 400 with this text; the path is added where the answer is made."""


class Lacking(Exception):
    """DVID has what was asked for, but the sandbox does not: it answers 501 and says what."""


class Torn(Exception):
    """A fault asked to stop here, with the operation half done."""


@dataclass(frozen=True)
class Message:
    """A record for Kafka: topic without prefix, key in nanoseconds, value."""

    topic: str
    key: int
    value: bytes


@dataclass
class Exchange:
    """A request as the handlers see it.

    `parts` is the decoded path behind ``/api/``, split at slashes, without an empty last part. `query` holds
    the first value of each name. `admin` says that the right admin token came with it. `messages` collects
    what is published, also by a request that is refused in the end. `headers` are for reads only, as the
    journal does not keep them.
    """

    method: str
    path: str
    query: dict[str, str]
    body: bytes
    admin: bool
    moment: Moment
    tear_at: str | None = None
    messages: list[Message] = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts = self.path.removeprefix("/api/").split("/")
        self.parts = parts[:-1] if parts[-1] == "" else parts

    @property
    def user(self) -> str:
        return self.query.get("u", "")

    @property
    def app(self) -> str:
        return self.query.get("app", "")

    def flag(self, name: str) -> bool:
        return self.query.get(name) == "true"

    def publish(self, topic: str, value: bytes) -> None:
        self.messages.append(Message(topic, self.moment.now(), value))

    def reached(self, stage: str) -> None:
        """Marks a point between two writes of an operation; a fault can tear the operation here."""
        if self.tear_at == stage:
            raise Torn(stage)
