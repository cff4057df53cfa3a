"""The sandbox server beside the real one: the same people, the same answers, messages and state."""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition

from dvid_sandbox.launcher import DvidServer, SandboxServer
from dvid_sandbox.proofreaders import KINDS, WEIGHTS, Proofreaders, make_repo
from dvid_sandbox.real_server import RealServer
from tests.real_kafka import RealKafka
from tests.state import State, differences, read_state

pytestmark = [pytest.mark.dvid, pytest.mark.kafka]

ODD_TEXTS = {"unread_cleave"}
"""Refusals whose text quotes Go's JSON decoder."""

FIRST_MUTATION_ID = 1_000_000_000
EVERYTHING = {**dict.fromkeys(KINDS, 0.5), **WEIGHTS, "split": 2.0}


def history(server: DvidServer, seed: int, count: int) -> tuple[list[Any], dict[str, list[Any]], State]:
    """Exchanges, messages by topic and state. The server is stopped.

    UUIDs that the server makes up are numbered by their first appearance.
    """
    repo = make_repo(server.url, server.admin_token, size=64, synced=True)
    with Proofreaders(
        server.url, repo.root, seed=seed, admin_token=server.admin_token, weights=EVERYTHING
    ) as people:
        people.work(count)
    names: dict[str, str] = {}

    def plain(text: str) -> str:
        named = re.sub(r"[0-9a-f]{32}", lambda found: names.setdefault(found[0], f"UUID{len(names)}"), text)
        for uuid in names:
            named = re.sub(rf"(after |release-){uuid[:6]}", r"\1UUID", named)
        return named

    plain(repo.root)
    exchanges = []
    for each in people.exchanges:
        row = json.loads(plain(json.dumps(each.row())))
        if each.kind in ODD_TEXTS:
            row.pop("response")
        exchanges.append(row)
    state = json.loads(plain(json.dumps(read_state(server.url, repo.root, indices=True))))
    server.stop()
    assert server.kafka is not None
    data = {uuid: name for name, uuid in repo.data.items()}
    messages = {
        data.get(topic[-32:], "repo-ops"): json.loads(plain(json.dumps(found)))
        for topic, found in published(server.kafka, server.topic_prefix).items()
        if "activity" not in topic and (topic[-32:] in data or topic.endswith("repo-ops"))
    }
    return exchanges, messages, state


def published(kafka: str, prefix: str) -> dict[str, list[Any]]:
    """Messages by topic, in the order of their keys, without their times.

    The labels of a merge come in any order.
    """
    consumer = KafkaConsumer(bootstrap_servers=kafka, group_id=None)
    try:
        partitions = [
            TopicPartition(topic, partition)
            for topic in consumer.topics()
            if topic.startswith(prefix)
            for partition in consumer.partitions_for_topic(topic)
        ]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        records = []
        while any(consumer.position(partition) < ends[partition] for partition in partitions):
            for found in consumer.poll(timeout_ms=1000).values():
                records += found
    finally:
        consumer.close()
    topics: dict[str, list[Any]] = {}
    for record in sorted(records, key=lambda record: int(record.key)):
        message = json.loads(record.value)
        message.pop("Timestamp", None)
        if "Labels" in message:
            message["Labels"].sort()
        topics.setdefault(record.topic, []).append(message)
    return topics


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_answers_publishes_and_ends_like_the_real_one(
    tmp_path: Path, real_kafka: RealKafka, seed: int
) -> None:
    told = secrets.token_hex(4)
    real = RealServer.start(
        tmp_path / "real", kafka=real_kafka.address, topic_prefix=f"real-{told}-", split_endpoint=True
    )
    with real:
        expected, expected_messages, expected_state = history(real, seed, 500)
    sandbox = SandboxServer.start(
        tmp_path / "sandbox",
        kafka=real_kafka.address,
        topic_prefix=f"sandbox-{told}-",
        split_endpoint=True,
        min_mutation_id=FIRST_MUTATION_ID,
    )
    try:
        answers, messages, state = history(sandbox, seed, 500)
    finally:
        sandbox.stop()
    for one, other in zip(expected, answers, strict=True):
        assert one == other
    assert expected_messages.keys() == messages.keys()
    for topic, expected_ones in expected_messages.items():
        for one, other in zip(expected_ones, messages[topic], strict=True):
            assert one == other, topic
    assert differences(expected_state, state) == []
