"""A broker and sandbox servers: a source on which people work, and destinations that are copies of it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dvid_sandbox.broker import EmbeddedBroker
from dvid_sandbox.launcher import SandboxServer
from dvid_sandbox.proofreaders import WEIGHTS, Proofreaders, Repo, make_repo

DESTINATIONS = ("copy", "spare")
PEOPLE = 4
WORK_BEFORE = 100
MAX_VERSIONS = 12

ANNOUNCED = {kind: share for kind, share in WEIGHTS.items() if kind != "delete_neuron"}
"""Work that the source's log tells of."""

SILENT = {"post_neuron": 4.0, "delete_neuron": 3.0, "silent_elements": 3.0}
"""Work of which the source's log tells only a part."""


@dataclass(frozen=True)
class Servers:
    """All of it runs. `destinations` are known by their names; `start` is at or before the moment at which
    the copies were made."""

    broker: str
    source: SandboxServer
    destinations: Mapping[str, SandboxServer]
    repo: Repo
    people: Proofreaders
    start: datetime

    @contextmanager
    def down(self, name: str) -> Iterator[None]:
        """A destination's server does not run meanwhile."""
        self.destinations[name].stop()
        try:
            yield
        finally:
            self.destinations[name].restart()


@contextmanager
def servers(folder: Path, broker: str | None) -> Iterator[Servers]:
    """Start them in `folder`, and end them.

    Args:
        broker: ``host:port`` of a Kafka broker that makes topics by itself; None starts the embedded one.

    Raises:
        SandboxError: there is no embedded broker for this platform.
        RuntimeError: a server did not start; the message holds what it printed.
    """
    with ExitStack() as stack:
        if broker is None:
            broker = stack.enter_context(EmbeddedBroker.start()).address
        source = stack.enter_context(
            SandboxServer.start(folder / "source", kafka=broker, topic_prefix=f"demo-{secrets.token_hex(4)}-")
        )
        repo = make_repo(source.url, source.admin_token, alias="demo", synced=True)
        people = stack.enter_context(new_people(source, repo, ANNOUNCED))
        people.work(WORK_BEFORE)
        start = datetime.now(UTC).replace(microsecond=0)
        source.stop()
        copies = {name: source.copy_to(folder / name) for name in DESTINATIONS}
        source.restart()
        destinations = {
            name: stack.enter_context(SandboxServer.start(copied)) for name, copied in copies.items()
        }
        yield Servers(broker, source, destinations, repo, people, start)


def new_people(source: SandboxServer, repo: Repo, weights: Mapping[str, float]) -> Proofreaders:
    """People who do these kinds of work on the source."""
    return Proofreaders(
        source.url,
        repo.root,
        people=PEOPLE,
        weights=weights,
        admin_token=source.admin_token,
        max_versions=MAX_VERSIONS,
    )
