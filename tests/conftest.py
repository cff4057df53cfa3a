"""Fixtures that several rooms share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.real_kafka import RealKafka, why_missing

# The machine may be busy: how long an example takes says nothing.
# The same examples every time, so that a red build speaks of the change; `--hypothesis-profile=search` looks
# for new ones.
settings.register_profile("dvidsync", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None)
settings.load_profile("dvidsync")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked `kafka` are skipped where there is none, unless DVIDSYNC_REQUIRE_KAFKA=1 (CI)."""
    if item.get_closest_marker("kafka") is None:
        return
    missing = why_missing()
    if missing is None:
        return
    if os.environ.get("DVIDSYNC_REQUIRE_KAFKA") == "1":
        pytest.fail(f"DVIDSYNC_REQUIRE_KAFKA=1, but {missing}")
    pytest.skip(missing)


@pytest.fixture(scope="session")
def real_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealKafka]:
    """A real Kafka for the whole test run. Use random topic names; to kill one, start your own."""
    with RealKafka(tmp_path_factory.mktemp("kafka")) as kafka:
        yield kafka
