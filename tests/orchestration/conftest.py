"""A stage for each module, and a Dagster instance for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from tests.stage import Stage, stage


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A source, a copy and a broker. Tests of one module share them, so each does its own work first."""
    with stage(tmp_path_factory.mktemp("stage")) as servers:
        yield servers


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance
