"""Tests here need a real DVID, which DVID_BIN names."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dvid_sandbox.real_server import RealServer, dvid_binary


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("dvid") is not None and dvid_binary() is None:
        pytest.skip("DVID_BIN does not name a DVID binary")


@pytest.fixture(scope="session")
def real_dvid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server for the whole test run, without Kafka. Make your own repo; to kill one, start your own."""
    with RealServer.start(tmp_path_factory.mktemp("dvid"), split_endpoint=True) as server:
        yield server
