"""Tests here need a real DVID, which DVID_BIN names."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.real_dvid import RealDvid, binary


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("dvid") is not None and binary() is None:
        pytest.skip("DVID_BIN does not name a DVID binary")


@pytest.fixture(scope="session")
def real_dvid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealDvid]:
    """A server for the whole test run, without Kafka. Make your own repo; to kill one, start your own."""
    with RealDvid.start(tmp_path_factory.mktemp("dvid"), split_endpoint=True) as server:
        yield server
