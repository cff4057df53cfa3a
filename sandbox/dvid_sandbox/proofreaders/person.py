"""One person: a name, a random sequence, and a way to ask the server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import quote

import orjson

from dvid_sandbox.proofreaders.client import OK, Client, Exchange
from dvid_sandbox.proofreaders.workplace import Pool, Traces, Workplace

NAMES = ("alice", "bob", "carol", "dan", "erin", "frank", "grace", "heidi")
MAIN_SHARE = 0.85
"""How much of the work goes to the open version of the main line, where branches are open too."""


@dataclass
class Person:
    """Who does one piece of work after the other. `kind` is the one in hand, `version` where."""

    number: int
    client: Client
    workplace: Workplace
    random: Random
    names: tuple[str, ...]
    max_versions: int
    kind: str = ""
    version: str = ""
    name: str = ""

    @property
    def pool(self) -> Pool:
        return self.workplace.pool(self.version, self.number)

    @property
    def traces(self) -> Traces:
        return self.workplace.traces(self.version, self.number)

    def turn_to(self, kind: str) -> None:
        """Chooses a name and an open version for the next piece of work."""
        self.kind = kind
        self.name = self.random.choice(self.names)
        main = [version for version in self.workplace.open if version in self.workplace.main]
        others = [version for version in self.workplace.open if version not in self.workplace.main]
        first, second = (main, others) if self.random.random() < MAIN_SHARE else (others, main)
        self.version = self.random.choice(first or second)

    def instance(self, datatype: str) -> str:
        return self.random.choice(self.workplace.instances[datatype])

    def path(self, *parts: str | int) -> str:
        """Below the version in hand, each part quoted."""
        return node_path(self.version, *parts)

    def labelmap(self, *parts: str | int) -> str:
        return self.path(self.workplace.segmentation, *parts)

    def post(
        self,
        path: str,
        body: Any = b"",
        *,
        method: str = "POST",
        query: Mapping[str, str] | None = None,
        meant: frozenset[int] = OK,
        admin: bool = False,
        nameless: bool = False,
    ) -> Exchange:
        """A request in this person's name; a `body` that is no bytes is sent as JSON."""
        who = {} if nameless else {"u": self.name, "app": "neu3"}
        return self.client.change(
            method,
            path,
            body if isinstance(body, bytes) else orjson.dumps(body),
            query={**who, **(query or {})},
            kind=self.kind,
            admin=admin,
            meant=meant,
        )

    def delete(self, path: str, *, meant: frozenset[int] = OK) -> Exchange:
        return self.post(path, method="DELETE", meant=meant)


def node_path(version: str, *parts: str | int) -> str:
    return "/api/node/" + "/".join(quote(str(part), safe="") for part in (version, *parts))
