"""All of a labelmap, read from a server: the same as what the log makes of what it was before.

`tests/real/test_snapshot_labelmap.py` does the same on a real server.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from dvid_sandbox.broker import EmbeddedBroker
from dvid_sandbox.launcher import DvidServer, SandboxServer
from dvid_sandbox.proofreaders import make_repo
from dvid_sandbox.proofreaders.segmentation import sparse_volume
from dvidsync_dagster.datatypes.labelmap.empty_supervoxels import empty_among
from dvidsync_dagster.datatypes.labelmap.snapshot import all_bodies, whole
from dvidsync_dagster.dvid.label_lists import splits
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.errors import Unfit
from tests.datatypes.source_log import SourceLog
from tests.labelmap.arrow_tables import INSTANCE
from tests.labelmap.followed_server import followed_server


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker.start() as running:
        yield running


@pytest.fixture
def server(broker: EmbeddedBroker, tmp_path: Path) -> Iterator[DvidServer]:
    prefix = f"{tmp_path.name}-"
    with SandboxServer.start(
        tmp_path / "server", kafka=broker.address, topic_prefix=prefix, split_endpoint=True
    ) as running:
        yield running


@pytest.mark.parametrize(("seed", "people"), [(1, 1), (2, 4), (3, 1)])
def test_random_work_ends_as_what_is_read_anew(server: DvidServer, seed: int, people: int) -> None:
    with followed_server(server, seed, people, before=120) as scene:
        versions = []
        for _ in range(2):
            scene.work(120)
            versions += scene.follow()
        assert len(set(versions)) > 1


def test_what_becomes_background(server: DvidServer) -> None:
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


def test_halves_of_splits_without_voxels(server: DvidServer) -> None:
    """8 and 30 go over whole, so that nothing remains of them; DVID maps those halves to bodies all the same,
    also where these bodies are gone."""
    with followed_server(server, 5, 1) as scene:
        scene.log.post("segmentation/merge", [7, 8, 9])
        scene.log.post("segmentation/split/7", sparse_volume(scene.log.runs(8)))
        scene.log.post("segmentation/merge", [29, 30])
        scene.log.post("segmentation/split/29", sparse_volume(scene.log.runs(30)))
        version = scene.log.root
        assert scene.follow() == [version]
        scene.log.post("segmentation/merge", [1, 7])
        scene.log.post("segmentation/renumber", [2_000, 1])
        assert scene.follow() == [version]
        halves = [
            half
            for *_, remain, split in splits(scene.log.client, version, INSTANCE)
            for half in (remain, split)
        ]
        empty = empty_among(version, halves, Labelmap(scene.log.client, INSTANCE))
        assert len(halves) == 4
        assert len(empty) == 2
        assert not empty & scene.tables.mapping.keys()
        assert scene.tables.bodies[2_000]["supervoxels"] == 3


def test_what_is_not_there_is_a_difference(server: DvidServer) -> None:
    with followed_server(server, 5, 1) as scene:
        scene.log.post("segmentation/merge", [7, 8])
        assert scene.differences(scene.log.root) == [
            "supervoxels in another body",
            "bodies only at the destination",
            "bodies of another size",
        ]


def test_a_labelmap_without_labels(server: DvidServer) -> None:
    root = make_repo(server.url, server.admin_token, size=64).root
    settings = {"typename": "labelmap", "dataname": "empty"}
    httpx.post(f"{server.url}/api/repo/{root}/instance", json=settings).raise_for_status()
    side = SourceLog(server, root).side("empty")
    assert [(table.path, list(batches)) for table, batches in side.whole(root)] == [
        ("empty/bodies", []),
        ("empty/mapping", []),
        ("empty/edits", []),
    ]


def test_labels_from_2_to_the_63_up_are_refused(server: DvidServer) -> None:
    root = make_repo(server.url, server.admin_token, size=64, first_label=2**63 - 5).root
    with pytest.raises(
        Unfit, match=rf"segmentation/bodies: .* version {root} has \d+, and the highest number"
    ):
        list(SourceLog(server, root).side(INSTANCE).whole(root))


def test_batches_of_the_tables_are_bounded(server: DvidServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole, "ROWS", 100)
    monkeypatch.setattr(all_bodies, "INDICES_AT_ONCE", 100)
    root = make_repo(server.url, server.admin_token, size=64).root
    sizes = {
        table.path: [len(batch) for batch in batches]
        for table, batches in SourceLog(server, root).side(INSTANCE).whole(root)
    }
    many = [100] * 5 + [12]
    assert sizes == {
        "segmentation/bodies": many,
        "segmentation/mapping": many,
        "segmentation/edits": [],
    }


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-23T05:18:01Z", 1_795_411_081),
        ("2026-11-23T00:18:01-05:00", 1_795_411_081),
        ("2026-11-23T05:18:01", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_times_of_indices(text: str, seconds: int | None) -> None:
    assert all_bodies.microseconds(text) == (None if seconds is None else seconds * 1_000_000)
