"""A broker and two sandbox servers: a source on which people work, and a destination that is a copy of it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dvidsync_dagster.sandbox.broker import EmbeddedBroker
from dvidsync_dagster.sandbox.launcher import SandboxServer
from dvidsync_dagster.sandbox.proofreaders import WEIGHTS, Proofreaders, Repo, make_repo

PEOPLE = 4
WORK_BEFORE = 100
MAX_VERSIONS = 12

ANNOUNCED = {kind: share for kind, share in WEIGHTS.items() if kind != "delete_neuron"}
"""Work that the source's log tells of."""


@dataclass(frozen=True)
class Servers:
    """All of it runs. `start` is at or before the moment at which the copy was made."""

    broker: str
    source: SandboxServer
    destination: SandboxServer
    repo: Repo
    people: Proofreaders
    start: datetime


@contextmanager
def servers(folder: Path, broker: str | None) -> Iterator[Servers]:
    """Start them in `folder`, and end them.

    Args:
        broker: ``host:port`` of a Kafka broker that makes topics by itself; None starts the embedded one.

    Raises:
        ConfigurationError: there is no embedded broker for this platform.
        RuntimeError: a server did not start; the message holds what it printed.
    """
    with ExitStack() as stack:
        if broker is None:
            broker = stack.enter_context(EmbeddedBroker.start()).address
        source = stack.enter_context(
            SandboxServer.start(folder / "source", kafka=broker, topic_prefix=f"demo-{secrets.token_hex(4)}-")
        )
        repo = make_repo(source.url, source.admin_token, alias="demo", synced=True)
        people = stack.enter_context(
            Proofreaders(
                source.url,
                repo.root,
                people=PEOPLE,
                weights=ANNOUNCED,
                admin_token=source.admin_token,
                max_versions=MAX_VERSIONS,
            )
        )
        people.work(WORK_BEFORE)
        start = datetime.now(UTC)
        source.stop()
        copied = source.copy_to(folder / "destination")
        source.restart()
        destination = stack.enter_context(SandboxServer.start(copied))
        yield Servers(broker, source, destination, repo, people, start)
