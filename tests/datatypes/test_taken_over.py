"""A run takes a destination over from one that died, or that goes on without knowing."""

from __future__ import annotations

import threading
import time
from typing import Any

import httpx
import pytest

from dvid_sandbox.launcher import SandboxServer
from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.errors import OwnershipLost
from dvidsync_dagster.run.follow import follow
from tests.datatypes.source_and_destination import TOKEN, SourceAndDestination

LABELS = "segmentation"


def ask_faults(server: SandboxServer, *faults: dict[str, Any]) -> None:
    httpx.post(f"{server.url}/sandbox/faults", json=faults).raise_for_status()


def merges_asked(server: SandboxServer) -> int:
    """How many merges it was asked for, those that it is still doing included."""
    told = httpx.get(f"{server.url}/sandbox/traffic").json()
    return int(told["requests"].get("POST merge", 0))


def test_a_merge_of_large_bodies_that_the_server_is_still_doing(scene: SourceAndDestination) -> None:
    """Nothing shows it but that a look at its bodies takes long. Its tag is that of the run that died."""
    scene.post(f"{LABELS}/merge", json=[10, 11])
    scene.sync()
    scene.post(f"{LABELS}/merge", json=[1, 2])
    last = scene.request("GET", f"{LABELS}/lastmod/1").json()["mutation id"]
    ask_faults(
        scene.destination,
        {"kind": "delay", "only": "/merge", "seconds": 2.5},
        {"kind": "delay", "only": "/lastmod/1", "seconds": 0.1, "count": 1000},
    )
    url = f"{scene.destination.url}/api/node/{scene.root}/{LABELS}/merge?u=amy&app=test%2Bdvidsync@{last}"
    dead = threading.Thread(target=httpx.post, args=(url,), kwargs={"json": [1, 2]})
    before = merges_asked(scene.destination)
    dead.start()
    while merges_asked(scene.destination) == before:
        time.sleep(0.01)
    (report,) = scene.sync_unclean()
    dead.join()
    assert (report.requests, report.present) == (0, 1)
    assert any("bodies are large" in note for note in report.notes)
    scene.assert_same()


def test_a_slow_answer_about_a_version_that_is_not_there_yet(
    scene: SourceAndDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a busy machine."""
    monkeypatch.setattr("dvidsync_dagster.datatypes.labelmap.server.seen.SLOW_SECONDS", 0.0)
    scene.sync()
    scene.post("commit", json={"note": "done"})
    version = scene.post("newversion", json={"note": "next"})["child"]
    scene.post(f"{LABELS}/merge", json=[1, 2], version=version)
    scene.sync_unclean()
    scene.assert_same()


def test_a_run_that_lost_its_destination_stops_within_its_chunk(
    scene: SourceAndDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dvidsync_dagster.destinations.dvid_server.ownership.EVERY_SECONDS", 0.2)
    for body in range(1, 21):
        scene.post(f"{LABELS}/merge", json=[body, body + 20])
    scene.await_messages(40)
    monkeypatch.setenv(TOKEN, scene.destination.admin_token)
    ask_faults(scene.destination, {"kind": "delay", "only": "/merge", "seconds": 0.3, "count": 1000})
    config = SyncConfig.model_validate(
        {
            "source": {"url": scene.source.url},
            "repo": scene.root,
            "destinations": [{**scene.destination_fields(), "requests_in_flight": 1}],
            "settle_seconds": 0,
        }
    )
    claimed = threading.Event()

    def still_owner() -> None:
        if claimed.is_set():
            raise OwnershipLost("another run has it")

    def merged() -> int:
        return sum(
            scene.request("GET", f"{LABELS}/lastmod/{body}", server=scene.destination).status_code == 404
            for body in range(21, 41)
        )

    def claim() -> None:
        while merged() < 2:
            time.sleep(0.02)
        claimed.set()

    other = threading.Thread(target=claim)
    other.start()
    with pytest.raises(OwnershipLost):
        list(follow(config, config.destinations[0], checkpoint=None, epoch=1, still_owner=still_owner))
    other.join()
    assert merged() < 15


def test_a_slow_look_into_a_version_that_is_not_there_yet(scene: SourceAndDestination) -> None:
    scene.sync()
    child = scene.new_version()
    scene.post(f"{LABELS}/merge", json=[1, 2], version=child)
    ask_faults(scene.destination, {"kind": "delay", "only": "/lastmod/", "seconds": 0.1, "count": 10})
    scene.sync_unclean()
    scene.assert_same()
