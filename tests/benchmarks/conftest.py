from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.measuring import measured_here
from benchmarks.setting import Setting
from dvid_sandbox.broker import EmbeddedBroker
from dvid_sandbox.launcher import SandboxServer


@pytest.fixture(scope="session")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker.start() as running:
        yield running


@pytest.fixture(autouse=True)
def rested(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else writes to these servers: no need to wait for requests of a run that died."""
    monkeypatch.setattr("dvidsync_dagster.destinations.dvid_server.server.REST_SECONDS", 0.01)


@pytest.fixture
def said() -> list[str]:
    """What was told of the progress."""
    return []


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where servers that were filled are kept."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def setting(tmp_path: Path, broker: EmbeddedBroker, said: list[str], kept: Path) -> Setting:
    """Each way once, on sandbox servers, in this process."""
    return Setting(tmp_path, SandboxServer, broker.address, 1, said.append, measured_here, kept)
