"""On real servers: the label counter of a copy, and the labels that it gives."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from dvidsync_dagster.errors import Conflict
from tests.real.test_follow import on_stage
from tests.real.test_place import Copying
from tests.real_dvid import RealDvid
from tests.real_kafka import RealKafka

pytestmark = [pytest.mark.dvid, pytest.mark.kafka]

LABELS, NEW = "segmentation", "agglomeration"


@pytest.fixture
def copying(tmp_path: Path, real_kafka: RealKafka, monkeypatch: pytest.MonkeyPatch) -> Iterator[Copying]:
    with on_stage(tmp_path, real_kafka, monkeypatch, {"merge": 1.0}, seed=21, before=3) as scene:
        yield Copying(scene)


def read(copying: Copying, server: RealDvid, path: str) -> int:
    """The one number of an answer."""
    answer = httpx.get(f"{server.url}/api/node/{copying.scene.root}/{path}")
    answer.raise_for_status()
    (number,) = answer.json().values()
    return int(number)


def ingest(copying: Copying, server: RealDvid) -> None:
    """Bodies 1 to 4 of the new labelmap."""
    volume = 1 + np.arange(64**3, dtype="<u8") // (16 * 64**2)
    node = f"{server.url}/api/node/{copying.scene.root}/{NEW}"
    httpx.post(f"{node}/raw/0_1_2/64_64_64/0_0_0", content=volume.tobytes()).raise_for_status()
    # The labels are indexed behind the answer.
    while sum(httpx.request("GET", f"{node}/sizes", json=[1, 2, 3, 4]).json()) < volume.size:
        time.sleep(0.05)


def test_a_labelmap_that_is_made_after_the_copy(copying: Copying) -> None:
    scene = copying.scene
    settings = {"typename": "labelmap", "dataname": NEW, "MaxDownresLevel": "0"}
    httpx.post(f"{scene.source.url}/api/repo/{scene.root}/instance", json=settings).raise_for_status()
    copying.post(f"{NEW}/nextlabel/5")
    scene.flush()
    copying.run()
    assert read(copying, scene.destination, f"{NEW}/nextlabel") == 6
    ingest(copying, scene.source)
    copying.post(f"{NEW}/merge", json=[1, 2])
    copying.post(f"{NEW}/cleave/1", json=[2])
    scene.work(3)
    scene.flush()
    with pytest.raises(Conflict, match="merge"):
        copying.run()
    ingest(copying, scene.destination)
    copying.run()
    scene.assert_same(instances=[LABELS, NEW])
