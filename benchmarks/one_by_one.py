"""The naive way: one request per operation, one after the other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

WHO = {"u": "bench", "app": "bench"}


class Client(httpx.Client):
    """Of a person who works on a server."""

    def __init__(self, url: str) -> None:
        super().__init__(base_url=url, timeout=600, params=WHO)

    def ask(self, path: str, body: Any) -> None:
        """One request."""
        self.post(path, json=body).raise_for_status()


def repeat(url: str, requests: str, first: int | None = None) -> dict[str, float]:
    """Send the requests of a file to a server.

    Args:
        requests: path of the file, in each line [path, body] as JSON.
        first: only so many.
    """
    count = 0
    with Client(url) as client, Path(requests).open() as lines:
        for count, line in enumerate(lines, 1):
            client.ask(*json.loads(line))
            if count == first:
                break
    return {"requests": count, "operations": count}
