"""All of a labelmap, read from a real DVID: the same as what the log makes of what it was before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dvid_sandbox.real_server import RealServer
from tests.labelmap.followed_server import followed_server
from tests.real_kafka import RealKafka

pytestmark = [pytest.mark.dvid, pytest.mark.kafka]


@pytest.fixture
def server(real_kafka: RealKafka, tmp_path: Path) -> Iterator[RealServer]:
    prefix = f"{tmp_path.name}-"
    with RealServer.start(
        tmp_path / "server", kafka=real_kafka.address, topic_prefix=prefix, split_endpoint=True
    ) as running:
        yield running


@pytest.mark.parametrize(("seed", "people"), [(1, 1), (2, 4), (3, 4)])
def test_random_work_ends_as_what_is_read_anew(server: RealServer, seed: int, people: int) -> None:
    with followed_server(server, seed, people, before=120) as scene:
        versions = []
        for _ in range(2):
            scene.work(120)
            versions += scene.follow()
        assert len(set(versions)) > 1


def test_what_becomes_background(server: RealServer) -> None:
    with followed_server(server, 5, 1) as scene:
        for path, body in (
            ("segmentation/merge", [8, 9]),
            ("segmentation/renumber", [0, 8]),
            ("segmentation/merge", [0, 5, 6]),
            ("segmentation/merge", [1, 2]),
        ):
            scene.log.post(path, body)
        assert scene.follow() == [scene.log.root]
        assert len(scene.tables.mapping) == 512 - 4
        assert 0 not in scene.tables.bodies
