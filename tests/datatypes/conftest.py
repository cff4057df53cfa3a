from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dvid_sandbox.broker import EmbeddedBroker
from tests.datatypes.source_and_destination import SourceAndDestination, template
from tests.datatypes.source_and_destination import scene as open_scene


@pytest.fixture(scope="session")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker.start() as running:
        yield running


@pytest.fixture(autouse=True)
def rested(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else writes to these servers: no need to wait for requests of a run that died."""
    monkeypatch.setattr("dvidsync_dagster.destinations.dvid_server.server.REST_SECONDS", 0.01)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    return template(tmp_path_factory.mktemp("made") / "server")


@pytest.fixture(scope="session")
def made_synced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    return template(tmp_path_factory.mktemp("made") / "server", synced=True)


@pytest.fixture
def scene(tmp_path: Path, broker: EmbeddedBroker, made: tuple[Path, str]) -> Iterator[SourceAndDestination]:
    with open_scene(tmp_path, broker, made) as opened:
        yield opened


@pytest.fixture
def synced(
    tmp_path: Path, broker: EmbeddedBroker, made_synced: tuple[Path, str]
) -> Iterator[SourceAndDestination]:
    with open_scene(tmp_path, broker, made_synced) as opened:
        yield opened
