"""Hostile records through the whole way: each becomes what the table says, and the copy is what the honest
records alone make it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaProducer

from dvid_sandbox.broker import EmbeddedBroker
from dvidsync_dagster.datatypes.decode import decode_records
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.errors import Conflict, UndecodableRecord
from dvidsync_dagster.log.eras import EraClock
from dvidsync_dagster.log.quarantine import Quarantine, TopicPartitionOffset
from dvidsync_dagster.run.report import ChunkReport
from tests.datatypes.source_and_destination import SourceAndDestination, template
from tests.datatypes.source_and_destination import scene as open_scene
from tests.forging import now, topic_of
from tests.hostile.records import (
    KEYS,
    LABELS,
    NEURONS,
    RECORDS,
    Ahead,
    Counted,
    Harmless,
    Hostile,
    Kept,
    Refused,
)
from tests.log.memory_feed import Stored
from tests.log.test_reading import reading
from tests.places import UNJUDGED

BATCH = 60
KEPT = [record for record in RECORDS if isinstance(record.outcome, Kept)]
BATCHES = [KEPT[start : start + BATCH] for start in range(0, len(KEPT), BATCH)]


class Source(SourceAndDestination):
    """Honest work, and records that are none of it."""

    other = ""
    bodies = 10

    def honest(self) -> None:
        """A little of everything."""
        self.bodies += 1
        self.post(f"{LABELS}/merge", json=[10, self.bodies])
        self.post(self.key(KEYS, f"honest {self.bodies}"), body=b"it")
        self.post(f"{NEURONS}/key/{self.bodies}", json={"bodyid": self.bodies, "type": "A"})

    def send(self, records: Sequence[Hostile]) -> dict[TopicPartitionOffset, Hostile]:
        """Honest work before, between and after."""
        assert self.source.kafka is not None
        names = {"ROOT": self.root, "OTHER": self.other, "SHORT": self.root[:8]}
        names["CAPITALS"] = self.root.upper()
        topics = {
            name: topic_of(self.source.topic_prefix, self.source.url, self.root, name)
            for name in {record.instance for record in records}
        }
        producer = KafkaProducer(bootstrap_servers=self.source.kafka, batch_size=0, max_request_size=2**21)
        placed = {}
        self.honest()
        for number, record in enumerate(records):
            sent = producer.send(
                topics[record.instance],
                key=None if record.no_key else record.key if record.key is not None else now(),
                value=record.content(names),
                headers=list(record.headers),
                timestamp_ms=record.timestamp_ms,
            ).get(30)
            placed[TopicPartitionOffset(sent.topic, sent.partition, sent.offset)] = record
            if number == len(records) // 2:
                self.honest()
        producer.close()
        self.honest()
        return placed

    def kept(self) -> dict[TopicPartitionOffset, str]:
        return {row.place: row.found for row in self.store().rows()}

    def store(self) -> Quarantine:
        return Quarantine(str(self.quarantine), self.root, "copy")

    def assert_honest(self) -> None:
        self.assert_same()
        other = httpx.get(f"{self.destination.url}/api/repo/{self.other}/info").json()
        assert other["DataInstances"] == {}
        assert [node["Locked"] for node in other["DAG"]["Nodes"].values()] == [False]


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker.start() as running:
        yield running


@pytest.fixture(autouse=True)
def rested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dvidsync_dagster.destinations.dvid_server.server.REST_SECONDS", 0.01)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, broker: EmbeddedBroker) -> Iterator[Source]:
    """Tests share it: each begins where the copy is in step, and ends so."""
    made: tuple[Path, str] = template(tmp_path_factory.mktemp("made") / "server")
    with open_scene(tmp_path_factory.mktemp("hostile"), broker, made) as scene:
        source = Source(scene.source, scene.destination, scene.root)
        server = scene.destination
        answer = httpx.post(
            f"{server.url}/api/repos", params={"admintoken": server.admin_token}, json={"alias": "other"}
        )
        source.other = str(answer.json()["root"])
        source.sync()
        yield source


def told(reports: Sequence[ChunkReport]) -> dict[TopicPartitionOffset, str]:
    return {
        TopicPartitionOffset(row.topic, row.partition, row.offset): row.found
        for report in reports
        for row in report.quarantined
    }


def wrong_words(
    placed: Mapping[TopicPartitionOffset, Hostile], found: Mapping[TopicPartitionOffset, str]
) -> list[str]:
    """The records that are not kept, or not with these words; and what else is kept."""
    wrong = [f"{place} is kept as well: {words}" for place, words in found.items() if place not in placed]
    for place, record in placed.items():
        assert isinstance(record.outcome, Kept)
        words = found.get(place)
        if words is None or record.outcome.words not in words or not words.isprintable() or len(words) > 500:
            wrong.append(f"{record.name}: {words}")
    return wrong


def test_names_tell_records_apart() -> None:
    assert len({record.name for record in RECORDS}) == len(RECORDS) >= 216


@pytest.mark.parametrize("batch", BATCHES, ids=lambda batch: batch[0].name)
def test_what_cannot_be_decoded_is_set_aside(source: Source, batch: list[Hostile]) -> None:
    placed = source.send(batch)
    reports = source.sync(on_undecodable="quarantine")
    assert wrong_words(placed, told(reports)) == []
    assert placed.keys() <= source.kept().keys()
    source.assert_honest()


@pytest.mark.parametrize("batch", BATCHES, ids=lambda batch: batch[0].name)
def test_what_cannot_be_decoded_stops_a_run(source: Source, batch: list[Hostile]) -> None:
    before = source.kept()
    placed = source.send(batch)
    for _ in range(2):
        with pytest.raises(UndecodableRecord) as caught:
            source.sync()
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 2000
    fresh = {place: words for place, words in source.kept().items() if place not in before}
    assert wrong_words(placed, fresh) == []
    source.store().mark(set(placed), "skipped")
    assert told(source.sync()).keys() == placed.keys()
    source.assert_honest()


@pytest.mark.parametrize("policy", ["stop", "quarantine"])
def test_what_is_only_counted_or_waits_or_is_nothing(source: Source, policy: str) -> None:
    before = source.kept()
    batch = [record for record in RECORDS if isinstance(record.outcome, Counted | Ahead | Harmless)]
    placed = source.send(batch)
    reports = source.sync(on_undecodable=policy)
    shown = {place: words for place, words in source.kept().items() if place not in before}
    assert shown == {
        place: "its key is more than a day ahead of the source's clock"
        for place, record in placed.items()
        if isinstance(record.outcome, Ahead)
    }
    unknown: dict[str, int] = {}
    for report in reports:
        for name, count in report.unknown_actions.items():
            unknown[name] = unknown.get(name, 0) + count
    counted = [record.outcome.action for record in batch if isinstance(record.outcome, Counted)]
    assert sum(unknown.values()) == len(counted)
    for action in counted:
        assert any(name.startswith(action) and len(name) < 100 for name in unknown), action
    source.assert_honest()


def test_what_the_destination_cannot_do_is_a_conflict(source: Source) -> None:
    before = source.kept()
    batch = [record for record in RECORDS if isinstance(record.outcome, Refused)]
    placed = source.send(batch)
    for _ in range(2):
        with pytest.raises(Conflict) as caught:
            source.sync()
        assert len(str(caught.value)) < 2500
    reports = source.sync(changed={"on_conflict": "skip"})
    refused = [row.where for report in reports for row in report.conflicts]
    assert {place for place in placed if any(_is_at(place, where) for where in refused)} == placed.keys()
    assert len(refused) == len(placed), refused
    assert source.kept() == before
    source.assert_honest()


def _is_at(place: TopicPartitionOffset, where: str) -> bool:
    return where.startswith(f"{place.topic} partition {place.partition} offset {place.offset} ")


# Any bytes

TYPES = ("labelmap", "keyvalue", "neuronjson", "annotation")
TOPICS: dict[str, Instance | None] = {name: Instance(name, name, "1" * 32) for name in TYPES}
TOPICS["repo"] = None
HEADERS = st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=5)), max_size=3)
TEXT = st.binary(max_size=30) | st.integers(0, 2**70).map(lambda number: b"%d" % number)


@given(
    st.sampled_from(sorted(TOPICS)),
    st.lists(st.tuples(st.none() | TEXT, st.none() | TEXT, HEADERS, st.integers(-1, 2**43)), max_size=5),
)
def test_any_bytes_are_decoded_or_are_that_records_fault(
    topic: str, raw: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]], int]]
) -> None:
    """Each is counted as empty, waits for its time, is set aside just as it was, or says something."""
    stored = [
        Stored(offset, key, value, timestamp, headers)
        for offset, (key, value, headers, timestamp) in enumerate(raw)
    ]
    pass_, _ = reading({(topic, 0): stored})
    chunks = list(pass_.chunks())
    seen = sum(chunk.empty + chunk.duplicates for chunk in chunks) + chunks[-1].ahead.records
    for chunk in chunks:
        decoded = decode_records(chunk.records, TOPICS, {}, EraClock(), UNJUDGED)
        aside = [*chunk.malformed, *(record for record, _ in decoded.undecodable)]
        for each in aside:
            key, value, headers, timestamp = raw[each.offset]
            assert (each.key, each.value, each.headers, each.timestamp) == (
                key,
                value,
                tuple(headers),
                timestamp,
            )
        seen += len(aside) + len(decoded.announcements)
        seen += sum(decoded.not_followed.values()) + sum(decoded.unknown_actions.values())
    assert seen == len(raw)
