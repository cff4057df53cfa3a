"""Clocks that are wrong, the whole way: a record that is ahead of the source's clock, a source that is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.dvid.times import go_time
from dvidsync_dagster.errors import ConfigurationError, Conflict
from dvidsync_dagster.log.quarantine import Quarantine
from dvidsync_dagster.repair.repairing import repair
from dvidsync_dagster.run.follow import Scope
from dvidsync_dagster.run.report import ChunkReport
from tests.datatypes.source_and_destination import SourceAndDestination
from tests.relay import SECOND, Relay
from tests.wrong_clock import WrongClock, wrong_clock

KEYS = "segmentation_annotations"


@pytest.fixture
def relay(scene: SourceAndDestination) -> Relay:
    assert scene.source.kafka is not None
    relay = Relay(scene.source.kafka, scene.source.topic_prefix)
    # Topics exist before anything is read.
    scene.post("note", json={"note": "begin"})
    relay.publish(relay.fresh(1))
    sync(scene, relay)
    return relay


def sync(scene: SourceAndDestination, relay: Relay) -> list[ChunkReport]:
    return scene.sync(kafka=relay.settings())


@pytest.fixture
def clock(scene: SourceAndDestination) -> Iterator[WrongClock]:
    with wrong_clock(scene.source.url) as proxy:
        yield proxy


def test_a_record_ahead_of_the_clock_waits_alone(
    scene: SourceAndDestination, relay: Relay, clock: WrongClock
) -> None:
    scene.post(scene.key(KEYS, "early"), body=b"x")
    (early,) = relay.fresh(1)
    ahead = time.time_ns() + 600 * SECOND
    relay.publish([replace(early, key=ahead)])
    scene.post_values(KEYS, [(f"k{number}", b"y") for number in range(30)])
    scene.post("segmentation/merge", json=[1, 2])
    relay.publish(relay.fresh(32))
    last = sync(scene, relay)[-1]
    assert scene.value(KEYS, "k29") == b"y"
    assert scene.value(KEYS, "early") is None
    assert (last.lag_after.records, last.ahead.records, last.ahead.far) == (1, 1, 0)
    clock.shift = timedelta(seconds=601)  # by then
    last = scene.sync(kafka=relay.settings(), source={"url": clock.url})[-1]
    assert (last.lag_after.records, last.ahead.records) == (0, 0)
    scene.assert_same()


def test_a_record_of_the_next_century_is_shown_and_holds_nothing_back(
    scene: SourceAndDestination, relay: Relay
) -> None:
    century = 4_102_444_800 * SECOND
    scene.post(scene.key(KEYS, "a"), body=b"x")
    rows = relay.fresh(1)
    # Kafka's client hands over 2,000 records at a time.
    again = [replace(rows[0], key=rows[0].key + number) for number in range(1, 2_500)]
    relay.publish([replace(rows[0], key=century), *rows, *again])
    for value in (b"1", b"2"):
        scene.post(scene.key(KEYS, "b"), body=value)
        relay.publish(relay.fresh(1))
        last = sync(scene, relay)[-1]
        assert scene.value(KEYS, "b") == value
        assert (last.ahead.records, last.ahead.far, last.lag_after.records) == (1, 1, 1)
        assert last.lag_after.seconds < 60
        assert "2100-01-01" in str(last.ahead)
    scene.assert_same()
    kept = Quarantine(str(scene.quarantine), scene.root, "copy")
    ((place, state),) = [(row.place, row.state) for row in kept.rows()]
    assert state == "stopped"
    kept.mark([place], "skipped")
    last = sync(scene, relay)[-1]
    assert (last.ahead.records, last.lag_after.records) == (0, 0)
    position = last.checkpoint.positions[place.topic][place.partition]
    assert position.next > place.offset
    assert position.beyond == ()


def put(scene: SourceAndDestination, key: str) -> None:
    scene.post(scene.key(KEYS, key), body=key.encode())


def test_a_source_clock_that_is_wrong_for_one_run_does_no_harm(
    scene: SourceAndDestination, relay: Relay, clock: WrongClock
) -> None:
    def follow(**settings: Any) -> ChunkReport:
        """Over to where the relay publishes, which is in order once all that was done is there."""
        relay.publish(relay.fresh(1))
        report = scene.sync(kafka=relay.settings(), source={"url": clock.url}, **settings)[-1]
        now = go_time(httpx.get(f"{clock.url}/api/server/info").json()["Server time"])
        assert report.checkpoint.key_ns <= now
        assert min(report.lag_before.seconds, report.lag_after.seconds) >= 0
        return report

    kept = Quarantine(str(scene.quarantine), scene.root, "copy")
    for name, shift in (("past", -timedelta(days=9_000)), ("future", timedelta(days=60_000))):
        clock.shift = shift
        put(scene, f"{name} 1")
        report = follow()
        assert report.lag_after.records == (1 if name == "past" else 0)
        clock.shift = timedelta(0)
        put(scene, f"{name} 2")
        report = follow()
        assert report.lag_after.records == 0
        assert report.from_ns > time.time_ns() - 3600 * SECOND
        assert kept.rows() == []
        scene.assert_same()
    # Windows are read again, and it goes on from there.
    put(scene, "window")
    hour = 3600 * SECOND
    follow(scope=Scope(time.time_ns() - hour, time.time_ns() + hour))
    scene.assert_same()


def test_an_instance_made_after_a_run_with_a_clock_of_the_future_is_no_configuration_error(
    scene: SourceAndDestination, clock: WrongClock
) -> None:
    clock.shift = timedelta(days=60_000)
    scene.sync(source={"url": clock.url})
    clock.shift = timedelta(0)
    scene.new_instance("fresh", "keyvalue")
    scene.await_messages(1)
    scene.sync(source={"url": clock.url})
    scene.assert_same()


def test_a_start_ahead_of_the_sources_clock_is_refused(
    scene: SourceAndDestination, clock: WrongClock
) -> None:
    clock.shift = -timedelta(hours=1)
    start = datetime.now(UTC) - timedelta(minutes=30)
    with pytest.raises(ConfigurationError, match="is in the future: the source's clock says") as refused:
        scene.sync(source={"url": clock.url}, changed={"start": {"time": start.isoformat()}})
    assert refused.value.field == "destinations[copy].start"
    clock.shift = timedelta(hours=1)
    start = datetime.now(UTC) + timedelta(minutes=30)
    scene.sync(source={"url": clock.url}, changed={"start": {"time": start.isoformat()}})


def test_a_start_now_is_the_logs_end_whatever_the_clock_says(
    scene: SourceAndDestination, clock: WrongClock
) -> None:
    put(scene, "before")
    scene.await_messages(1)
    for days in (-9_000, 60_000):
        scene.checkpoint = None
        clock.shift = timedelta(days=days)
        scene.sync(source={"url": clock.url}, changed={"start": "now"})
        clock.shift = timedelta(0)
        put(scene, f"after {days}")
        scene.await_messages(2 if days < 0 else 3)
        scene.sync(source={"url": clock.url}, changed={"start": "now"})
        assert scene.value(KEYS, f"after {days}") is not None
        assert scene.value(KEYS, "before") is None


def test_a_clock_that_went_back_is_told_of_and_what_came_after_it_is_applied(
    scene: SourceAndDestination, relay: Relay
) -> None:
    scene.post("segmentation/merge", json=[1, 2])
    scene.post("segmentation/merge", json=[3, 1])
    put(scene, "after")
    rows = relay.fresh(5)
    back = [replace(row, key=row.key - 600 * SECOND) for row in rows[2:]]
    relay.publish([*rows[:2], *back])
    notes = [note for report in sync(scene, relay) for note in report.notes]
    scene.assert_same()
    (told,) = [note for note in notes if "the source's clock went back, by up to" in note]
    assert "repair --apply" in told
    assert not [note for report in sync(scene, relay) for note in report.notes if "went back" in note]


def test_a_run_that_stops_where_the_clock_went_back_names_that(
    scene: SourceAndDestination, relay: Relay
) -> None:
    put(scene, "before")
    scene.post("commit", json={"note": "done"})
    rows = relay.fresh(2)
    httpx.post(f"{scene.destination.url}/api/node/{scene.root}/{KEYS}/key/before", content=b"own")
    back = [replace(row, key=row.key - 600 * SECOND) for row in rows]
    relay.publish([replace(rows[0], key=rows[0].key - 1)])
    relay.publish(back)
    with pytest.raises(Conflict, match="Perhaps the cause: the source's clock went back, by up to"):
        sync(scene, relay)


def test_a_run_that_stops_behind_a_record_ahead_of_the_clock_names_that_and_the_way_out(
    scene: SourceAndDestination, relay: Relay, clock: WrongClock
) -> None:
    """The version in which people work was made while the source's clock was ahead."""
    child = scene.new_version(scene.root)
    commit, made = relay.fresh(2)
    scene.post(scene.key(KEYS, "in the child"), body=b"x", version=child)
    relay.publish([commit, replace(made, key=time.time_ns() + 600 * SECOND), *relay.fresh(1)])
    with pytest.raises(Conflict, match="Perhaps the cause: 1 record waits: keys are up to 0:") as stopped:
        sync(scene, relay)
    assert "repair --apply" in str(stopped.value)
    clock.shift = timedelta(seconds=601)  # by then
    settings: dict[str, Any] = {"kafka": relay.settings(), "source": {"url": clock.url}}
    config = SyncConfig.model_validate(
        {
            "repo": scene.root,
            "destinations": [scene.destination_fields()],
            "settle_seconds": 0,
            "quarantine": str(scene.quarantine),
            **settings,
        }
    )
    repair(
        config,
        config.destinations[0],
        checkpoint=scene.checkpoint,
        stuck=True,
        dry_run=False,
        still_owner=lambda: None,
    )
    scene.sync(**settings)
    scene.assert_same()


def test_a_start_after_the_copy_was_made_is_told_of(
    scene: SourceAndDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    def first_run(**start: object) -> list[str]:
        scene.checkpoint = None
        return [note for report in scene.sync(changed=start) for note in report.notes if "`start`" in note]

    scene.post("segmentation/merge", json=[1, 2])
    scene.post("segmentation/merge", json=[1, 3])
    scene.await_messages(4)
    # As by a clock that is ahead of the source's.
    late = {"time": datetime.now(UTC).isoformat()}
    scene.post("segmentation/merge", json=[5, 6])
    scene.await_messages(6)
    (told,) = first_run(start=late)
    assert told.startswith("2 label operations of the source are neither in the copy nor in what this run")
    # Where the source keeps no list it is a hint.
    monkeypatch.setattr("dvidsync_dagster.dvid.labelmap.Labelmap.mutation_ids", lambda *_: frozenset())
    (told,) = first_run(start=late)
    assert told.startswith("1 mutation id of the source is neither")
    assert first_run(start="beginning") == []
