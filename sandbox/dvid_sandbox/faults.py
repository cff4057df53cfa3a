"""Faults on demand, for tests of what a client makes of them.

``POST /sandbox/faults`` with a JSON list of faults, each ``{"kind": …, "after": n, …}``; it replaces what was
asked for before, and an empty list ends them. `after` counts requests that pass first (0 by default); `only`
limits a fault to paths that hold this text; `count` is how often it strikes (once by default).

| kind | what happens |
| --- | --- |
| kill-before | the process kills itself before the request is handled |
| kill-unpublished | it kills itself when the request is applied, but nothing of it is published |
| kill-after | it kills itself when the request is applied and published, before the answer |
| kill-torn | it kills itself between two writes of the operation: `at` names the point (below) |
| drop-before | the connection is closed without an answer, nothing is done |
| drop-after | the request is done, then the connection is closed without an answer |
| unavailable | 503 |
| delay | the request waits `seconds` first |
| gather | the request waits until `count` such requests wait (`seconds` at most, if given) |

`unavailable` and `delay` strike all requests, the others only those that change something.

The points of `kill-torn`, in the order in which an operation passes them; an operation that does not pass the
point is applied, and the process kills itself then:

| operation | points |
| --- | --- |
| merge | announced, mapping, target index |
| cleave | announced, indices |
| renumber | announced, mapping, new index |
| split-supervoxel | announced, voxels, mapping |
| split | announced, indices |
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Literal

from pydantic import BaseModel, ConfigDict, PrivateAttr, TypeAdapter

Kind = Literal[
    "kill-before",
    "kill-unpublished",
    "kill-after",
    "kill-torn",
    "drop-before",
    "drop-after",
    "unavailable",
    "delay",
    "gather",
]
FOR_ALL_REQUESTS = ("unavailable", "delay")


class Fault(BaseModel):
    """A fault that was asked for. See the module's text."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    after: int = 0
    only: str = ""
    count: int = 1
    at: str = ""
    seconds: float = 0.0
    _gathering: asyncio.Barrier | None = PrivateAttr(None)

    async def hold(self) -> None:
        """Lets a request wait, if the fault is a `delay` or a `gather`."""
        if self.kind == "delay":
            await asyncio.sleep(self.seconds)
        elif self._gathering is not None:
            # A request that waited too long goes on, and so do those that come later.
            with suppress(TimeoutError, asyncio.BrokenBarrierError):
                await asyncio.wait_for(self._gathering.wait(), self.seconds or None)

    def gather(self) -> None:
        """Prepares the place where `count` requests meet."""
        if self.kind == "gather":
            self._gathering = asyncio.Barrier(self.count)


FAULTS = TypeAdapter(list[Fault])


class Faults:
    """The faults that are to come."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def ask(self, body: bytes) -> None:
        """Raises `pydantic.ValidationError` for a list that makes no sense."""
        self._waiting = FAULTS.validate_json(body)
        for fault in self._waiting:
            fault.gather()

    def strike(self, method: str, path: str) -> Fault | None:
        """The fault that this request meets, if any."""
        changes = method not in ("GET", "HEAD")
        for fault in self._waiting:
            if fault.only not in path or not (changes or fault.kind in FOR_ALL_REQUESTS):
                continue
            if fault.after:
                fault.after -= 1
                continue
            fault.count -= 1
            if fault.count <= 0:
                self._waiting.remove(fault)
            return fault
        return None
