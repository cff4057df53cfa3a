"""A sandbox server with a repo in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dvid_sandbox.launcher import SandboxServer
from dvid_sandbox.real_server import dvid_binary
from repos import Repo


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked `dvid` are skipped where DVID_BIN names no real server."""
    if item.get_closest_marker("dvid") is not None and dvid_binary() is None:
        pytest.skip("DVID_BIN does not name a DVID binary")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SandboxServer]:
    with SandboxServer.start(tmp_path / "server", min_mutation_id=1000) as started:
        yield started


@pytest.fixture
def repo(server: SandboxServer) -> Repo:
    return Repo(server)
