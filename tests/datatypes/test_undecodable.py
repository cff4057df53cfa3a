"""A record that cannot be decoded: what waits behind it, what does not, and how it is let pass."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from dvidsync_dagster.errors import UndecodableRecord
from dvidsync_dagster.log.quarantine import Quarantine, TopicPartitionOffset
from dvidsync_dagster.run.report import ChunkReport
from tests.datatypes.source_and_destination import SourceAndDestination
from tests.forging import now, publish

LABELS, KEYS, NEURONS = "segmentation", "segmentation_annotations", "neurons"


def forge(
    scene: SourceAndDestination, instance: str | None, value: bytes | None = b"no JSON"
) -> TopicPartitionOffset:
    return forge_with_key(scene, instance, value, now())


def forge_with_key(
    scene: SourceAndDestination,
    instance: str | None,
    value: bytes | None,
    key: bytes | None,
    headers: Sequence[tuple[str, bytes]] = (),
) -> TopicPartitionOffset:
    source = scene.source
    assert source.kafka is not None
    return TopicPartitionOffset(
        *publish(
            source.kafka,
            source.topic_prefix,
            source.url,
            scene.root,
            instance,
            value,
            key=key,
            headers=headers,
        )
    )


def stop(scene: SourceAndDestination) -> str:
    with pytest.raises(UndecodableRecord) as caught:
        scene.sync()
    return str(caught.value)


def body(scene: SourceAndDestination, supervoxel: int) -> int:
    answer = scene.request("GET", f"{LABELS}/mapping", json=[supervoxel], server=scene.destination)
    return int(answer.json()[0])


def counted(reports: list[ChunkReport]) -> int:
    return sum(len(report.quarantined) for report in reports)


def store(scene: SourceAndDestination) -> Quarantine:
    return Quarantine(str(scene.quarantine), scene.root, "copy")


def test_what_does_not_depend_on_it_is_applied_and_recorded(scene: SourceAndDestination) -> None:
    """One record held up all the others."""
    scene.post(f"{LABELS}/merge", json=[1, 2])
    place = forge(scene, LABELS)
    scene.post(f"{LABELS}/merge", json=[3, 4])
    scene.post(scene.key(KEYS, "other"), body=b"1")
    scene.post(f"{NEURONS}/key/5", json={"bodyid": 5, "type": "A"})
    for _ in range(2):
        said = stop(scene)
        assert f"{place.topic} partition {place.partition} offset {place.offset}" in said
        assert f"dvidsync quarantine skip {place}" in said
        assert "2 records wait behind it" in said
        assert scene.reports[-1].final
        assert (body(scene, 2), body(scene, 4)) == (1, 4)
        assert scene.value(KEYS, "other") == b"1"
    assert scene.reports[-1].operations == 0, "what was applied is not applied again"
    assert counted(scene.sync(on_undecodable="quarantine")) == 1
    scene.assert_same()
    assert scene.sync()[-1].records == 0


def test_a_commit_waits_and_what_comes_after_it(scene: SourceAndDestination) -> None:
    place = forge(scene, LABELS)
    scene.post(scene.key(KEYS, "before"), body=b"1")
    child = scene.new_version()
    scene.post(scene.key(KEYS, "after"), body=b"2", version=child)
    scene.post(f"{LABELS}/merge", json=[1, 2], version=child)
    stop(scene)
    assert set(scene.states()[1]["versions"]) == {scene.root}
    assert scene.value(KEYS, "before") == b"1"
    store(scene).mark({place}, "skipped")
    scene.sync()
    scene.assert_same()


def test_a_repo_operation(scene: SourceAndDestination) -> None:
    """What happened in versions and instances that the destination lacks waits, the rest goes on."""
    # Older than the second of the instance's birth.
    forge_with_key(scene, None, b"no JSON", str(time.time_ns() - 5 * 10**9).encode())
    scene.new_instance("later", "keyvalue")
    scene.post(scene.key("later", "a"), body=b"1")
    scene.post(f"{LABELS}/merge", json=[1, 2])
    child = scene.new_version()
    scene.post(f"{LABELS}/merge", json=[1, 3], version=child)
    scene.post(scene.key(KEYS, "a"), body=b"1", version=child)
    stop(scene)
    assert body(scene, 2) == 1
    assert not any(name.endswith("/later") for name in scene.states()[1]["data"])
    assert set(scene.states()[1]["versions"]) == {scene.root}
    assert counted(scene.sync(on_undecodable="quarantine")) == 1
    scene.assert_same()


def test_exactly_one_is_let_pass(scene: SourceAndDestination) -> None:
    first, second = forge(scene, LABELS), forge(scene, LABELS, b"{}")
    third = forge(scene, KEYS)
    scene.post(f"{LABELS}/merge", json=[1, 2])
    stop(scene)
    assert [(row.place, row.state) for row in store(scene).rows()] == [
        (first, "stopped"),
        (second, "stopped"),
        (third, "stopped"),
    ]
    store(scene).mark({first}, "skipped")
    assert f"skip {second}" in stop(scene)
    assert counted(scene.reports) == 1
    store(scene).mark({second}, "skipped")
    assert f"skip {third}" in stop(scene)
    assert body(scene, 2) == 1
    store(scene).mark({third}, "skipped")
    assert counted(scene.sync()) == 1
    assert [row.state for row in store(scene).rows()] == ["skipped"] * 3
    scene.assert_same()


def test_records_are_kept_whole(scene: SourceAndDestination) -> None:
    """The raw key and null were lost."""
    cases: list[tuple[bytes | None, bytes | None]] = [
        (b"\x00\xff", b"v" * 1000),
        (None, b"no key"),
        (b"", b"empty key"),
        (b"0017", b"\xff\x00"),
        (b"12", None),
        (b"12", b""),
    ]
    headers = [("h", b"\xff"), ("h", b""), ("", b"1")]
    places = [forge_with_key(scene, LABELS, value, key, headers) for key, value in cases]
    assert counted(scene.sync(on_undecodable="quarantine")) == len(places)
    records = store(scene).read(places)
    assert {(record.key, record.value) for record in records} == set(cases)
    assert {record.headers for record in records} == {tuple(headers)}
    assert all(time.time() - 600 < record.timestamp / 1000 < time.time() + 60 for record in records)
    assert counted(scene.sync(on_undecodable="quarantine")) == 0


def test_a_repeated_run_keeps_nothing_twice(scene: SourceAndDestination) -> None:
    places = [forge(scene, LABELS), forge(scene, KEYS)]
    before = scene.checkpoint
    scene.sync(on_undecodable="quarantine")
    files = {path: path.stat().st_mtime_ns for path in scene.quarantine.rglob("*.parquet")}
    scene.checkpoint = before
    scene.sync(on_undecodable="quarantine")
    assert {path: path.stat().st_mtime_ns for path in scene.quarantine.rglob("*.parquet")} == files
    store(scene).drop({places[0]})
    assert [row.place for row in store(scene).rows()] == places[1:]


def test_a_garbage_topic_that_is_not_followed_is_only_counted(scene: SourceAndDestination) -> None:
    forge(scene, NEURONS)
    forge_with_key(scene, NEURONS, b"x", b"no time")
    (report,) = scene.sync(instances=[LABELS])
    assert counted([report]) == 0
