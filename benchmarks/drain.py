"""How fast a backlog is drained, also into the archive, beside a poll loop that only counts.

A topic is filled with messages like a labelmap's, keys up to a second out of order. With a real Kafka it has
three partitions.
"""

from __future__ import annotations

import json
import random
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from benchmarks.announcing import Record, announce
from benchmarks.measuring import Measured
from benchmarks.result import Result, Way
from benchmarks.setting import Setting
from dvidsync_dagster.log.archive import LogArchive
from dvidsync_dagster.log.checkpoint import Positions
from dvidsync_dagster.log.drain import MutationLog
from dvidsync_dagster.log.kafka import KafkaConnection

CHUNK_RECORDS = 20_000
_STEP_NS = 5_000_000  # 200 messages a second: a day of a busy team in an hour and a half
_OUT_OF_ORDER_NS = 1_000_000_000


def drain(setting: Setting, records: int) -> Result:
    """Read so many records of a log."""
    topic = f"benchmark-{secrets.token_hex(4)}"
    setting.say("the log is filled")
    announce(setting.broker, topic, _records(records))
    runs: dict[str, list[Measured]] = {name: [] for name in READS}
    for name, _ in setting.turns(list(READS)):
        took = setting.measured(READS[name], address=setting.broker, topic=topic)
        if took.told["records"] != records:
            raise RuntimeError(f"{name} read {took.told['records']:.0f} records of {records}")
        runs[name].append(Measured(took.seconds, took.processor_seconds, took.memory_mb, {}))
    return Result("drain", records, [Way.of(name, records, each) for name, each in runs.items()])


def poll_loop(address: str, topic: str) -> dict[str, float]:
    """Read everything and only count."""
    consumer = KafkaConsumer(
        bootstrap_servers=address, group_id=None, enable_auto_commit=False, auto_offset_reset="none"
    )
    partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))]
    consumer.assign(partitions)
    ends = consumer.end_offsets(partitions)
    for partition in partitions:
        consumer.seek(partition, 0)
    count = 0
    while any((consumer.position(partition) or 0) < ends[partition] for partition in partitions):
        count += sum(map(len, consumer.poll(timeout_ms=500, max_records=2_000).values()))
    consumer.close()
    return {"records": count}


def in_order(address: str, topic: str) -> dict[str, float]:
    """Read everything in order and keep the checkpoint, as a run does."""
    count, key = 0, 0
    with MutationLog(KafkaConnection((address,)), [topic]) as log:
        for chunk in log.chunks({}, cut_key=time.time_ns(), chunk_records=CHUNK_RECORDS):
            for record in chunk.records:
                assert key <= record.key_ns
                key = record.key_ns
            count += len(chunk.records)
            log.positions()
    return {"records": count}


def into_archive(address: str, topic: str) -> dict[str, float]:
    """The same, and write each chunk to an archive in a folder."""
    count = 0
    stored: Positions = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        MutationLog(KafkaConnection((address,)), [topic]) as log,
    ):
        kept = LogArchive(folder)
        for chunk in log.chunks({}, cut_key=time.time_ns(), chunk_records=CHUNK_RECORDS):
            if kept.write(chunk.records, stored, log.positions()) is not None:
                stored = log.positions()
            count += len(chunk.records)
    return {"records": count}


READS: dict[str, Callable[[str, str], dict[str, float]]] = {
    "poll loop": poll_loop,
    "drain": in_order,
    "drain, archive": into_archive,
}


def _records(count: int) -> Iterator[Record]:
    """Starts and completions of merges and cleaves."""
    rng = random.Random(7)
    first = time.time_ns() - count * _STEP_NS - 3_600 * 10**9
    for number in range(count):
        key = first + number * _STEP_NS - rng.randrange(_OUT_OF_ORDER_NS)
        yield key, json.dumps(_message(rng, number)).encode()


def _message(rng: random.Random, number: int) -> dict[str, Any]:
    mutation = number // 2
    body: dict[str, Any]
    if mutation % 3:
        labels = [rng.randrange(1, 10**9) for _ in range(rng.choice((1, 1, 1, 2, 5)))]
        body = {"Action": "merge", "Target": rng.randrange(1, 10**9), "Labels": labels}
    else:
        supervoxels = [rng.randrange(1, 10**9) for _ in range(rng.choice((1, 2, 10, 40)))]
        body = {
            "Action": "cleave",
            "OrigLabel": rng.randrange(1, 10**9),
            "CleavedLabel": 10**9 + mutation,
            "CleavedSupervoxels": supervoxels,
            "CleavedSize": rng.randrange(10**6),
            "RemainSize": rng.randrange(10**6),
        }
    if number % 2:
        body["Action"] = f"{body['Action']}-complete"
    body |= {
        "MutationID": 1_000_000_000 + mutation,
        "UUID": "cc76f7df23fe4a03b294fe7bf33a7be8",
        "User": "proofreader",
        "App": "neu3",
        "Timestamp": "2026-11-23 04:46:03.078780279 +0000 UTC m=+6.979993463",
    }
    return body
