"""All of a labelmap, read from a real DVID: the same as what the log makes of what it was before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dvid_sandbox.launcher import DvidServer
from dvid_sandbox.real_server import RealServer
from tests.labelmap.test_snapshot_whole import (
    test_halves_of_splits_without_voxels,
    test_random_work_ends_as_what_is_read_anew,
    test_what_becomes_background,
)
from tests.real_kafka import RealKafka

pytestmark = [pytest.mark.dvid, pytest.mark.kafka]

__all__ = [
    "test_halves_of_splits_without_voxels",
    "test_random_work_ends_as_what_is_read_anew",
    "test_what_becomes_background",
]


@pytest.fixture
def server(real_kafka: RealKafka, tmp_path: Path) -> Iterator[DvidServer]:
    prefix = f"{tmp_path.name}-"
    with RealServer.start(
        tmp_path / "server", kafka=real_kafka.address, topic_prefix=prefix, split_endpoint=True
    ) as running:
        yield running
