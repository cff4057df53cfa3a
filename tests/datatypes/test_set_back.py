"""A clean checkpoint that was set back, where the bodies of the first operations after it are gone."""

from __future__ import annotations

import httpx
import pytest

from dvidsync_dagster.run.report import ChunkReport
from tests.datatypes.source_and_destination import SourceAndDestination

LABELS = "segmentation"


def cleave(scene: SourceAndDestination, body: int, *supervoxels: int) -> int:
    return int(scene.post(f"{LABELS}/cleave/{body}", json=list(supervoxels))["CleavedLabel"])


def counters(scene: SourceAndDestination) -> list[int]:
    return [
        int(scene.request("GET", f"{LABELS}/nextlabel", server=server).json()["nextlabel"])
        for server in (scene.source, scene.destination)
    ]


def nothing_is_repeated(scene: SourceAndDestination, reports: list[ChunkReport]) -> None:
    assert not any(report.conflicts or report.requests for report in reports)
    assert any("already has operations past the checkpoint" in n for r in reports for n in r.notes)
    scene.assert_same()
    assert len(set(counters(scene))) == 1


@pytest.mark.parametrize("policy", ["stop", "skip"])
def test_bodies_that_were_merged_away(scene: SourceAndDestination, policy: str) -> None:
    scene.sync()
    old = scene.checkpoint
    for body in range(2, 16):
        scene.post(f"{LABELS}/merge", json=[1, body])
    scene.post(f"{LABELS}/merge", json=[20, 1])
    scene.post(f"{LABELS}/merge", json=[30, 31, 32])
    new = cleave(scene, 30, 31)
    scene.post(f"{LABELS}/merge", json=[30, new])
    cleave(scene, 30, 31)
    scene.await_messages(2 * 19)
    scene.sync()
    scene.assert_same()
    scene.checkpoint = old
    nothing_is_repeated(scene, scene.sync(changed={"on_conflict": policy}))


def test_bodies_that_cleaves_made_and_merges_took(scene: SourceAndDestination) -> None:
    scene.post(f"{LABELS}/merge", json=[1, *range(2, 16)])
    scene.await_messages(2)
    scene.sync()
    old = scene.checkpoint
    for body in range(2, 16):
        new = cleave(scene, 1, body)
        scene.post(f"{LABELS}/merge", json=[1, new])
    scene.post(f"{LABELS}/merge", json=[20, 1])
    scene.await_messages(2 + 4 * 14 + 2)
    scene.sync()
    scene.checkpoint = old
    nothing_is_repeated(scene, scene.sync())


def test_a_run_that_is_not_set_back_does_not_look(scene: SourceAndDestination) -> None:
    for number in range(3):
        scene.post(f"{LABELS}/merge", json=[1, 2 + number])
        scene.await_messages(2 * (number + 1))
        # The destination's own.
        url = f"{scene.destination.url}/api/node/{scene.root}/{LABELS}/merge"
        httpx.post(url, json=[40, 41 + number]).raise_for_status()
        reports = scene.sync()
        assert number == 0 or not any(report.notes or "look" in report.seconds for report in reports)
