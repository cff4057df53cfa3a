"""Clocks that are wrong, the whole way: a record that is ahead of the source's clock, a source that is."""

from __future__ import annotations

import time
from dataclasses import replace

import httpx
import pytest

from dvidsync_dagster.dvid.repo import go_time
from dvidsync_dagster.report import ChunkReport
from tests.datatypes.following import Scene
from tests.relay import SECOND, Relay

KEYS = "segmentation_annotations"


@pytest.fixture
def relay(scene: Scene) -> Relay:
    assert scene.source.kafka is not None
    relay = Relay(scene.source.kafka, scene.source.topic_prefix)
    # Topics exist before anything is read.
    scene.post("note", json={"note": "begin"})
    relay.publish(relay.fresh(1))
    sync(scene, relay)
    return relay


def sync(scene: Scene, relay: Relay) -> list[ChunkReport]:
    return scene.sync(kafka=relay.settings())


def await_clock(scene: Scene, key: int) -> None:
    """Until the source's clock has passed a key."""
    while go_time(httpx.get(f"{scene.source.url}/api/server/info").json()["Server time"]) <= key:
        time.sleep(0.1)


def test_a_record_ahead_of_the_clock_waits_alone(scene: Scene, relay: Relay) -> None:
    scene.post(scene.key(KEYS, "early"), body=b"x")
    (early,) = relay.fresh(1)
    ahead = time.time_ns() + 4 * SECOND
    relay.publish([replace(early, key=ahead)])
    scene.post_values(KEYS, [(f"k{number}", b"y") for number in range(30)])
    scene.post("segmentation/merge", json=[1, 2])
    relay.publish(relay.fresh(32))
    last = sync(scene, relay)[-1]
    assert scene.value(KEYS, "k29") == b"y"
    assert scene.value(KEYS, "early") is None
    assert (last.lag_after.records, last.ahead.records, last.ahead.far) == (1, 1, 0)
    await_clock(scene, ahead)
    last = sync(scene, relay)[-1]
    assert (last.lag_after.records, last.ahead.records) == (0, 0)
    scene.assert_same()


def test_a_record_of_the_next_century_is_shown_and_holds_nothing_back(scene: Scene, relay: Relay) -> None:
    century = 4_102_444_800 * SECOND
    scene.post(scene.key(KEYS, "a"), body=b"x")
    rows = relay.fresh(1)
    relay.publish([replace(rows[0], key=century), *rows])
    for value in (b"1", b"2"):
        scene.post(scene.key(KEYS, "b"), body=value)
        relay.publish(relay.fresh(1))
        last = sync(scene, relay)[-1]
        assert scene.value(KEYS, "b") == value
        assert (last.ahead.records, last.ahead.far, last.lag_after.records) == (1, 1, 1)
        assert last.lag_after.seconds < 60
        assert "2100-01-01" in str(last.ahead)
    scene.assert_same()
