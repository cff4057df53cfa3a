from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dvidsync_dagster.sandbox.broker import EmbeddedBroker
from tests.datatypes.following import Scene
from tests.datatypes.following import scene as open_scene


@pytest.fixture(scope="session")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker.start() as running:
        yield running


@pytest.fixture
def scene(tmp_path: Path, broker: EmbeddedBroker) -> Iterator[Scene]:
    with open_scene(tmp_path, broker) as opened:
        yield opened
