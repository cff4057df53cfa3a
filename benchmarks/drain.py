"""How fast a backlog is drained, also into the archive, beside a bare poll loop, and in what memory.

    .ci/kafka && .venv/bin/python -m benchmarks.drain [--records 400000] [--rounds 3] [--broker HOST:PORT]

Fills a topic of three partitions with messages like a labelmap's. Fresh processes read it, in turns: with a
poll loop that only counts, with `MutationLog`, and with `MutationLog` into a `LogArchive`. The median of the
rounds counts. Without ``--broker`` a real Kafka is started.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import random
import resource
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from dvidsync_dagster.log.archive import LogArchive
from dvidsync_dagster.log.checkpoint import Positions
from dvidsync_dagster.log.drain import MutationLog
from dvidsync_dagster.log.kafka import KafkaConnection
from tests.real_kafka import RealKafka

PARTITIONS = 3
MEMORY_LIMIT_MB = 700
CHUNK_RECORDS = 20_000
_STEP_NS = 5_000_000  # 200 messages a second: a day of a busy team in an hour and a half
_OUT_OF_ORDER_NS = 1_000_000_000


def fill(address: str, topic: str, records: int) -> None:
    """Write starts and completions of merges and cleaves, keys up to a second out of order."""
    rng = random.Random(7)
    first = time.time_ns() - records * _STEP_NS - 3_600 * 10**9
    producer = KafkaProducer(
        bootstrap_servers=address,
        acks="all",
        linger_ms=50,
        batch_size=1 << 18,
        max_request_size=1 << 24,
    )
    for number in range(records):
        key = first + number * _STEP_NS - rng.randrange(_OUT_OF_ORDER_NS)
        value = _message(rng, number)
        producer.send(
            topic, value, key=b"%d" % key, partition=rng.randrange(PARTITIONS), timestamp_ms=key // 10**6 + 1
        )
    producer.flush()
    producer.close()


def _message(rng: random.Random, number: int) -> bytes:
    mutation = number // 2
    body: dict[str, object]
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
    return json.dumps(body).encode()


def bare_loop(address: str, topic: str) -> int:
    """Read everything and only count."""
    consumer = KafkaConsumer(
        bootstrap_servers=address, group_id=None, enable_auto_commit=False, auto_offset_reset="none"
    )
    partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    consumer.assign(partitions)
    ends = consumer.end_offsets(partitions)
    for partition in partitions:
        consumer.seek(partition, 0)
    count = 0
    while any((consumer.position(partition) or 0) < ends[partition] for partition in partitions):
        count += sum(map(len, consumer.poll(timeout_ms=500, max_records=2_000).values()))
    consumer.close()
    return count


def drain(address: str, topic: str) -> int:
    """Read everything in order and keep the checkpoint, as a run does."""
    count, key = 0, 0
    with MutationLog(KafkaConnection((address,)), [topic]) as log:
        for chunk in log.chunks({}, cut_key=time.time_ns(), chunk_records=CHUNK_RECORDS):
            for record in chunk.records:
                assert key <= record.key_ns
                key = record.key_ns
            count += len(chunk.records)
            log.positions()
    return count


def archive(address: str, topic: str) -> int:
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
    return count


READS: dict[str, Callable[[str, str], int]] = {
    "poll loop": bare_loop,
    "drain": drain,
    "drain, archive": archive,
}


class Measured(NamedTuple):
    """What it took a fresh process to read the topic."""

    records: int
    seconds: float
    processor_seconds: float
    memory_mb: float


def measure(name: str, address: str, topic: str) -> Measured:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (name, address, topic))


def _measured(name: str, address: str, topic: str) -> Measured:
    began, used = time.perf_counter(), time.process_time()
    count = READS[name](address, topic)
    seconds, processor_seconds = time.perf_counter() - began, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Measured(count, seconds, processor_seconds, peak / (2**20 if sys.platform == "darwin" else 2**10))


def median(rounds: Sequence[Measured]) -> Measured:
    """By seconds."""
    return sorted(rounds, key=lambda each: each.seconds)[len(rounds) // 2]


@contextlib.contextmanager
def broker(address: str | None) -> Iterator[str]:
    if address:
        yield address
        return
    with tempfile.TemporaryDirectory() as folder, RealKafka(Path(folder) / "kafka") as kafka:
        yield kafka.address


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--broker", help="HOST:PORT of a running broker; a topic is left behind there")
    options = parser.parse_args()
    with broker(options.broker) as address:
        topic = f"benchmark-{secrets.token_hex(4)}"
        fill(address, topic, options.records)
        rounds = [{name: measure(name, address, topic) for name in READS} for _ in range(options.rounds)]
    found = {name: median([each[name] for each in rounds]) for name in READS}
    bare = found["poll loop"].seconds
    head = f"{'':14} {'records':>10} {'seconds':>8} {'processor':>9}"
    print(f"{head} {'records/s':>10} {'peak MB':>8} {'times':>6}")
    for name, (records, seconds, processor, memory) in found.items():
        print(
            f"{name:14} {records:>10,} {seconds:>8.1f} {processor:>9.1f} {records / seconds:>10,.0f} "
            f"{memory:>8.0f} {seconds / bare:>6.2f}"
        )
    print("times: the seconds, beside those of the poll loop")
    is_whole = all(each.records == options.records for each in found.values())
    return 0 if is_whole and max(each.memory_mb for each in found.values()) < MEMORY_LIMIT_MB else 1


if __name__ == "__main__":
    sys.exit(main())
