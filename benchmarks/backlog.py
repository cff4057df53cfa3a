"""How much memory a whole run takes for a backlog of a million records.

    python -m benchmarks.backlog [--records 1000000]

A real Apache Kafka (see .ci/kafka) holds announcements of merges, a start and a completion each, in three
partitions; a process of its own follows them to a sandbox server. Prints records, requests, seconds and the
peak of the process's resident memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
from kafka import KafkaProducer

from dvid_sandbox.launcher import SandboxServer
from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.run.follow import follow
from tests.real_kafka import RealKafka

ADMIN_TOKEN = "adm"
BODIES = 500
PREFIX = "backlog-"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--records", type=int, default=1_000_000)
    arguments.add_argument("--follow", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.follow:
        _follow(chosen.follow)
        return
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kafka = stack.enter_context(RealKafka.start(folder / "kafka"))
        source = stack.enter_context(
            SandboxServer.start(folder / "source", kafka=kafka.address, topic_prefix=PREFIX)
        )
        # As many supervoxels as merges, and the bodies that they go into.
        cubes = round((chosen.records / 2 + BODIES) ** (1 / 3) + 0.5)
        root = _empty_repo(source.url)
        source.stop()
        copy = stack.enter_context(SandboxServer.start(source.copy_to(folder / "copy")))
        source.restart()
        side = -(-cubes * 8 // 64) * 64
        copy.put_cubes(root, "segmentation", size=side, cube=8)
        _announce(kafka.address, source.url, root, chosen.records // 2)
        config = {
            "source": {"url": source.url},
            "repo": root,
            "instances": ["segmentation"],
            "settle_seconds": 0,
            "destinations": [{"name": "copy", "url": copy.url, "start": "beginning"}],
        }
        command = [sys.executable, "-m", "benchmarks.backlog", "--follow", json.dumps(config)]
        subprocess.run(command, check=True)


def _empty_repo(url: str) -> str:
    admin = {"admintoken": ADMIN_TOKEN}
    made = httpx.post(f"{url}/api/repos", params=admin, content=json.dumps({"alias": "backlog"}))
    root = str(made.raise_for_status().json()["root"])
    settings = json.dumps({"typename": "labelmap", "dataname": "segmentation", "MaxDownresLevel": "0"})
    httpx.post(f"{url}/api/repo/{root}/instance", content=settings).raise_for_status()
    return root


def _announce(broker: str, url: str, root: str, merges: int) -> None:
    info = httpx.get(f"{url}/api/repo/{root}/info").json()
    data_uuid = info["DataInstances"]["segmentation"]["Base"]["DataUUID"]
    topic = f"{PREFIX}dvidrepo-{root}-data-{data_uuid}"
    producer = KafkaProducer(bootstrap_servers=[broker], linger_ms=20, batch_size=1 << 18)
    key = time.time_ns() - 4 * 3600 * 10**9
    for number in range(merges):
        message = {
            "Action": "merge",
            "App": "bench",
            "Labels": [BODIES + 1 + number],
            "MutationID": 2_000_000_000 + number,
            "Target": 1 + number * 7919 % BODIES,
            "Timestamp": "2026-11-23 05:18:01.29240166 +0000 UTC m=+4.965783185",
            "UUID": root,
            "User": "bench",
        }
        for action in ("merge", "merge-complete"):
            key += 2_000_000
            producer.send(
                topic, key=str(key).encode(), value=json.dumps({**message, "Action": action}).encode()
            )
    producer.flush()
    producer.close()


def _follow(config_json: str) -> None:
    config = SyncConfig.model_validate(json.loads(config_json))
    began = time.perf_counter()
    records = operations = requests = 0
    for report in follow(config, config.destinations[0], checkpoint=None, epoch=1, still_owner=lambda: None):
        records += report.records
        operations += report.operations
        requests += report.requests
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{records} records, {operations} operations, {requests} requests in {seconds:.0f} s; "
        f"peak {peak:.0f} MB"
    )


if __name__ == "__main__":
    main()
