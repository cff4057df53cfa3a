"""Random work at the source, in followed versions and on practice branches, and runs of any chunks that may
be killed: what nobody at the destination touched is the source's, their work is intact, and each difference
is listed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dvid_sandbox.broker import EmbeddedBroker
from tests.datatypes.source_and_destination import SourceAndDestination, template
from tests.datatypes.source_and_destination import scene as open_scene
from tests.own_work.stories import leave_out, stop
from tests.own_work.world import World

EXAMPLES = settings(
    max_examples=int(os.environ.get("DVIDSYNC_OWN_WORK", "1")),
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    print_blob=True,
)
"""Each starts servers: they are few and long, and none is made smaller. DVIDSYNC_OWN_WORK makes more."""


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker.start() as running:
        yield running


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    return template(tmp_path_factory.mktemp("made") / "server")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is in flight here when a run has died, and each request may be its last."""
    monkeypatch.setattr("dvidsync_dagster.destinations.dvid_server.server.REST_SECONDS", 0.01)
    monkeypatch.setattr("dvidsync_dagster.destinations.dvid_server.ownership.EVERY_SECONDS", 0.0)


def worlds(
    broker: EmbeddedBroker, made: tuple[Path, str], random: Random, on_conflict: str
) -> Iterator[World]:
    with TemporaryDirectory() as folder, open_scene(Path(folder), broker, made) as scene:
        fields = {
            "source": {"url": scene.source.url},
            "repo": scene.root,
            "destinations": [{"name": "copy", "url": scene.destination.url, "start": "beginning"}],
            "settle_seconds": 0,
            "quarantine": str(scene.quarantine),
        }
        yield World(scene, fields, random, partial(all_told, scene), on_conflict=on_conflict)


def all_told(scene: SourceAndDestination, messages: int) -> None:
    if messages:
        scene.await_messages(messages)


@EXAMPLES
@given(seed=st.integers(0, 2**32))
def test_what_is_left_out(broker: EmbeddedBroker, made: tuple[Path, str], seed: int) -> None:
    for world in worlds(broker, made, Random(seed), "skip"):
        leave_out(world, rounds=8)


@EXAMPLES
@given(seed=st.integers(0, 2**32))
def test_what_runs_stop_at(broker: EmbeddedBroker, made: tuple[Path, str], seed: int) -> None:
    """Each time with the same list, which is the one of a run that leaves it out."""
    for world in worlds(broker, made, Random(seed), "stop"):
        stop(world, rounds=6)
