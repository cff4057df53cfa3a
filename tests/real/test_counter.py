"""On real servers: the label counter of a copy, and the labels that it gives."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from dvid_sandbox.real_server import RealServer
from dvidsync_dagster.errors import Conflict
from tests.forging import forge
from tests.real.test_follow import on_stage
from tests.real.test_source_places import Copying
from tests.real_kafka import RealKafka

pytestmark = [pytest.mark.dvid, pytest.mark.kafka]

LABELS, NEW = "segmentation", "agglomeration"


@pytest.fixture
def copying(tmp_path: Path, real_kafka: RealKafka, monkeypatch: pytest.MonkeyPatch) -> Iterator[Copying]:
    with on_stage(tmp_path, real_kafka, monkeypatch, {"merge": 1.0}, seed=21, before=3) as scene:
        yield Copying(scene)


def read(copying: Copying, server: RealServer, path: str) -> int:
    """The one number of an answer."""
    answer = httpx.get(f"{server.url}/api/node/{copying.scene.root}/{path}")
    answer.raise_for_status()
    (number,) = answer.json().values()
    return int(number)


def ingest(copying: Copying, server: RealServer) -> None:
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


def counters(copying: Copying) -> list[int]:
    """Of source and copy."""
    scene = copying.scene
    return [read(copying, server, f"{LABELS}/nextlabel") for server in (scene.source, scene.destination)]


def assert_same_counter(copying: Copying) -> None:
    source, copy = counters(copying)
    assert copy == source


def body_of_two(copying: Copying) -> tuple[int, int]:
    """Two bodies are merged: the one that stays, and a supervoxel that can be cleaved off."""
    copying.scene.work(1)
    answer = httpx.get(f"{copying.scene.source.url}/api/node/{copying.scene.root}/{LABELS}/existing-labels")
    one, other = answer.json()[:2]
    copying.post(f"{LABELS}/merge", json=[one, other])
    return one, other


def test_labels_that_are_taken_in_branches(copying: Copying) -> None:
    """Each version has the highest label of the source; a renumber where nobody follows reserves nothing."""
    scene = copying.scene
    one, other = body_of_two(copying)
    copying.post("commit", json={"note": "done"})
    main = copying.post("newversion", json={"note": ""}).json()["child"]
    side = copying.post("branch", json={"branch": "side", "note": ""}).json()["child"]
    copying.post(f"{LABELS}/nextlabel/10", version=side)
    copying.post(f"{LABELS}/cleave/{one}", json=[other], version=main)
    copying.post(f"{LABELS}/maxlabel/90000", version=side, admin=True)
    scene.flush()
    copying.run()
    for version in (scene.root, main, side):
        url = f"api/node/{version}/{LABELS}/maxlabel"
        found = [httpx.get(f"{each.url}/{url}").json() for each in (scene.source, scene.destination)]
        assert found[0] == found[1]
    assert_same_counter(copying)
    copying.post(f"{LABELS}/set-nextlabel/100000", version=main, admin=True)
    scene.flush()
    copying.run(branches=["master"])
    copying.post(f"{LABELS}/renumber", json=[900000, one], version=side)
    copying.post(f"{LABELS}/cleave/{one}", json=[], version=main)
    scene.flush()
    copying.run(branches=["master"])
    assert counters(copying) == [100002, 100002]


def test_a_cleave_that_nobody_completed(copying: Copying) -> None:
    scene = copying.scene
    copying.run()
    said = {"OrigLabel": 40, "CleavedLabel": 2**62, "CleavedSupervoxels": [41]}
    fields = {"Action": "cleave", "UUID": scene.root, "MutationID": 10**9, **said}
    forge(scene.kafka, scene.topic_prefix, scene.source.url, scene.root, LABELS, fields)
    reserved = {"Start Label": 1000, "End Label": 2**64 - 1}
    fields = {"Action": "post-nextlabel", "UUID": scene.root, **reserved}
    forge(scene.kafka, scene.topic_prefix, scene.source.url, scene.root, LABELS, fields)
    one, other = body_of_two(copying)
    copying.post(f"{LABELS}/cleave/{one}", json=[other])
    scene.flush()
    copying.run()
    assert_same_counter(copying)
    scene.assert_same(instances=[LABELS])


def test_a_cleave_of_nothing_that_is_looked_at_again(copying: Copying) -> None:
    scene = copying.scene
    copying.run()
    before = copying.checkpoint
    one, other = body_of_two(copying)
    copying.post(f"{LABELS}/cleave/{one}", json=[])
    scene.flush()
    copying.run()
    for _ in range(2):
        copying.checkpoint = before
        copying.run()
        assert_same_counter(copying)
    copying.post(f"{LABELS}/cleave/{one}", json=[other])
    scene.flush()
    copying.run()
    assert_same_counter(copying)
    scene.assert_same(instances=[LABELS])


def test_a_highest_label_that_leaves_no_other(copying: Copying) -> None:
    """The server then says 0 for the label that comes next, and gives none."""
    scene = copying.scene
    one, _ = body_of_two(copying)
    copying.post(f"{LABELS}/renumber", json=[2**64 - 1, one])
    scene.work(3)
    scene.flush()
    for _ in range(2):
        copying.run()
    assert counters(copying) == [0, 0]
    scene.assert_same(instances=[LABELS])
