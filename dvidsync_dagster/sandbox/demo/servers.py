"""A broker and two sandbox servers: a source on which people work, and a destination that is a copy of it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
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

SILENT = {"post_neuron": 4.0, "delete_neuron": 3.0, "silent_elements": 3.0}
"""Work of which the source's log tells only a part."""


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
        people = stack.enter_context(new_people(source, repo, ANNOUNCED))
        people.work(WORK_BEFORE)
        start = datetime.now(UTC).replace(microsecond=0)
        source.stop()
        copied = source.copy_to(folder / "destination")
        source.restart()
        destination = stack.enter_context(SandboxServer.start(copied))
        yield Servers(broker, source, destination, repo, people, start)


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
