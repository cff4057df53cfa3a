"""Starts without a completion: an operation of minutes, a message that was lost, an operation that failed."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest

from dvidsync_dagster.run.report import ChunkReport
from tests.datatypes.source_and_destination import SourceAndDestination
from tests.relay import Relay, Row

LABELS, KEYS = "segmentation", "segmentation_annotations"


@pytest.fixture
def relay(scene: SourceAndDestination) -> Relay:
    assert scene.source.kafka is not None
    relay = Relay(scene.source.kafka, scene.source.topic_prefix)
    # Topics exist before anything is read.
    scene.post("note", json={"note": "begin"})
    relay.publish(relay.fresh(1))
    sync(scene, relay)
    return relay


def sync(scene: SourceAndDestination, relay: Relay, **changed: Any) -> list[ChunkReport]:
    return scene.sync(kafka=relay.settings(), changed=changed)


def at_copy(scene: SourceAndDestination, path: str) -> Any:
    return scene.request("GET", path, server=scene.destination).json()


def assert_same(scene: SourceAndDestination) -> None:
    scene.assert_same()
    labels = [
        scene.request("GET", f"{LABELS}/nextlabel", server=server).json()
        for server in (scene.source, scene.destination)
    ]
    assert labels[0] == labels[1]


def cleave(scene: SourceAndDestination, body: int, *supervoxels: int) -> int:
    return int(scene.post(f"{LABELS}/cleave/{body}", json=list(supervoxels))["CleavedLabel"])


def heard_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dvidsync_dagster.datatypes.labelmap.unfinished.HEARD_WITHIN", 0)


def test_a_commit_waits_for_a_merge_that_takes_longer_than_the_settle_time(
    scene: SourceAndDestination, relay: Relay
) -> None:
    scene.post(f"{LABELS}/merge", json=[1, 2])
    start, complete = relay.fresh(2)
    scene.post("commit", json={"note": "x"})
    (commit,) = relay.fresh(1)
    relay.publish([start], seconds_ago=30)
    relay.publish([commit], seconds_ago=20)
    for _ in range(2):
        (*_, last) = sync(scene, relay)
        assert not at_copy(scene, "status")["Locked"]
        assert last.held == 1
        assert last.lag_after.records == 2
    relay.publish([complete], seconds_ago=0)
    sync(scene, relay)
    assert at_copy(scene, "status")["Locked"]
    assert_same(scene)


def test_what_does_not_depend_on_it_goes_on(scene: SourceAndDestination, relay: Relay) -> None:
    scene.post(f"{LABELS}/merge", json=[1, 2])
    start, complete = relay.fresh(2)
    relay.publish([start], seconds_ago=30)
    scene.post(scene.key(KEYS, "k"), body=b"v")
    scene.post(f"{LABELS}/merge", json=[5, 6])
    scene.post(f"{LABELS}/merge", json=[1, 3])
    rows = relay.fresh(5)
    relay.publish(rows, seconds_ago=20)
    sync(scene, relay)
    assert scene.value(KEYS, "k") == b"v"
    assert scene.request("GET", f"{LABELS}/lastmod/6", server=scene.destination).status_code == 404
    assert scene.request("GET", f"{LABELS}/lastmod/3", server=scene.destination).status_code == 200
    relay.publish([complete], seconds_ago=0)
    sync(scene, relay)
    assert_same(scene)


def test_a_cleave_that_takes_longer_than_the_settle_time_burns_no_id(
    scene: SourceAndDestination, relay: Relay
) -> None:
    scene.post(f"{LABELS}/merge", json=[1, 2, 3, 4, 5])
    relay.publish(relay.fresh(2))
    sync(scene, relay)
    cleave(scene, 1, 2)
    start, complete = relay.fresh(2)
    relay.publish([start], seconds_ago=12)
    (*_, last) = sync(scene, relay)
    assert last.requests == 0
    relay.publish([complete], seconds_ago=0)
    sync(scene, relay)
    assert_same(scene)
    cleave(scene, 1, 3)
    relay.publish(relay.fresh(2))
    (*_, last) = sync(scene, relay)
    assert last.requests == 1
    assert_same(scene)


def test_a_cleave_that_the_source_refused_has_failed_at_once(
    scene: SourceAndDestination, relay: Relay
) -> None:
    refused = scene.request("POST", f"{LABELS}/cleave/1", json=[40])
    assert refused.status_code == 400
    scene.post("commit", json={"note": "x"})
    rows = relay.fresh(2)
    assert [row.action for row in rows] == ["cleave", "commit"]
    relay.publish(rows)
    sync(scene, relay)
    assert at_copy(scene, "status")["Locked"]
    assert_same(scene)


def operations(scene: SourceAndDestination) -> None:
    scene.post(f"{LABELS}/merge", json=[1, 2, 3])
    new = cleave(scene, 1, 2)
    scene.post(f"{LABELS}/renumber", json=[900, new])
    runs = (1).to_bytes(4, "little") + b"".join(each.to_bytes(4, "little") for each in (0, 0, 0, 4))
    volume = bytes([0, 3, 0, 0]) + bytes(4) + runs
    scene.post(f"{LABELS}/split-supervoxel/1", body=volume)
    scene.post(f"{LABELS}/merge", json=[10, 11])
    scene.post(f"{LABELS}/merge", json=[12, 10])


def test_completions_that_were_lost(
    scene: SourceAndDestination, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source has what was begun, so it is done. A completion that comes late only repeats it."""
    heard_at_once(monkeypatch)
    operations(scene)
    rows = relay.fresh(12)
    starts = [row for row in rows if not row.action.endswith("-complete")]
    assert len(starts) == 6
    relay.publish(starts)
    sync(scene, relay)
    assert_same(scene)
    relay.publish([row for row in rows if row not in starts])
    sync(scene, relay)
    assert_same(scene)
    scene.post("commit", json={"note": "x"})
    relay.publish(relay.fresh(1))
    (*_, last) = sync(scene, relay)
    assert at_copy(scene, "status")["Locked"]
    assert last.lag_after.records == 0


def test_completions_that_come_later_in_the_same_run(
    scene: SourceAndDestination, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard_at_once(monkeypatch)
    operations(scene)
    rows = relay.fresh(12)
    starts = [row for row in rows if not row.action.endswith("-complete")]
    relay.publish(starts, seconds_ago=300)
    relay.publish(forged_values(scene, relay, 1100), seconds_ago=200)
    relay.publish([row for row in rows if row not in starts], seconds_ago=0)
    reports = scene.sync(kafka=relay.settings(), chunk_records=100)
    assert len(reports) > 5
    assert sum(report.duplicates for report in reports) == 6
    assert_same(scene)


def forged_values(scene: SourceAndDestination, relay: Relay, count: int) -> list[Row]:
    """More records than are read ahead: deletions of a key that is not there."""
    scene.delete(scene.key(KEYS, "gone"))
    (row,) = relay.fresh(1)
    fields = orjson.loads(row.value)
    return [
        Row(row.key, row.topic, orjson.dumps({**fields, "Key": f"gone {number}"})) for number in range(count)
    ]


@pytest.mark.parametrize("torn_at", ["announced", "target index"])
def test_a_merge_is_known_to_have_failed_once_the_source_was_started_again(
    scene: SourceAndDestination, relay: Relay, torn_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard_at_once(monkeypatch)
    fault = {"kind": "kill-torn", "only": "/merge", "at": torn_at}
    httpx.post(f"{scene.source.url}/sandbox/faults", json=[fault]).raise_for_status()
    with pytest.raises(httpx.TransportError):
        scene.post(f"{LABELS}/merge", json=[1, 2])
    scene.source.restart()
    (start,) = relay.fresh(1)
    scene.post("commit", json={"note": "x"})
    relay.publish([start, *relay.fresh(1)])
    sync(scene, relay)
    assert at_copy(scene, "status")["Locked"]
    merged = scene.request("GET", f"{LABELS}/lastmod/2", server=scene.destination).status_code == 404
    assert merged == (torn_at == "target index")


def test_a_merge_that_came_to_nothing_and_whose_labels_went_elsewhere(
    scene: SourceAndDestination, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard_at_once(monkeypatch)
    scene.post(f"{LABELS}/merge", json=[1, 2])
    scene.post(f"{LABELS}/merge", json=[5, 6])
    rows = relay.fresh(4)
    forged = orjson.loads(rows[2].value) | {"Target": 1, "Labels": [6]}
    relay.publish([*rows[:2], Row(rows[2].key, rows[2].topic, orjson.dumps(forged))])
    (*_, last) = sync(scene, relay)
    assert (last.operations, last.lag_after.records) == (1, 0)


def test_a_merge_that_goes_on_is_awaited_and_shown_after_an_hour(
    scene: SourceAndDestination, relay: Relay
) -> None:
    """Forged: the source's server runs, and its bodies do not have it."""
    scene.post(f"{LABELS}/merge", json=[1, 2])
    start, complete = relay.fresh(2)
    other = orjson.loads(start.value) | {"Target": 5, "Labels": [6], "MutationID": start.mutation_id + 1}
    running = Row(start.key + 1, start.topic, orjson.dumps(other))
    relay.publish([start, complete, running])
    scene.post("commit", json={"note": "x"})
    relay.publish(relay.fresh(1))
    (*_, last) = sync(scene, relay)
    assert not at_copy(scene, "status")["Locked"]
    assert last.open_for_long == ()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dvidsync_dagster.run.reading.LONG_AGO_NS", 0)
        (*_, last) = sync(scene, relay)
    (shown,) = last.open_for_long
    assert f"merge {start.mutation_id + 1}" in shown
    assert "start the source's server again" in shown
    assert shown in last.notes
    scene.source.restart()
    sync(scene, relay)
    assert at_copy(scene, "status")["Locked"]
