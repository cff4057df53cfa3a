"""How long a copy takes to catch up, beside the naive way: one request per operation, one after the other.

    python -m benchmarks.apply [--operations 3000] [--bodies 400]

Two copies of one source, both in one run: the first gets the log's label operations one by one, the second by
`follow`. With DVID_BIN naming a DVID binary the servers are real ones, else sandbox servers. The log is at
least half merges into a few hundred bodies, as proofreading is. Prints operations, requests and seconds of
both, and their ratio; the bodies of both copies must end the same.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random

import httpx

from dvid_sandbox.broker import EmbeddedBroker
from dvid_sandbox.launcher import SandboxServer
from dvid_sandbox.proofreaders import make_repo
from dvid_sandbox.real_server import RealServer
from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.run.follow import follow

Server = RealServer | SandboxServer

ADMIN_TOKEN = "adm"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--operations", type=int, default=3000)
    arguments.add_argument("--bodies", type=int, default=400)
    chosen = arguments.parse_args()
    start: Callable[..., Server] = RealServer.start if os.environ.get("DVID_BIN") else SandboxServer.start
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = stack.enter_context(EmbeddedBroker.start())
        source = start(
            folder / "source", kafka=broker.address, topic_prefix="bench-", admin_token=ADMIN_TOKEN
        )
        stack.callback(lambda: source.stop() if source.running else None)
        root = make_repo(source.url, ADMIN_TOKEN).root
        source.stop()
        copies = [source.copy_to(folder / name) for name in ("naive", "followed")]
        source.restart()
        servers: list[Server] = []
        for copy in copies:
            servers.append(start(copy, admin_token=ADMIN_TOKEN))
            stack.enter_context(servers[-1])
        naive, followed = servers
        work = list(_work(chosen.operations, chosen.bodies))
        with httpx.Client(base_url=f"{source.url}/api/node/{root}/segmentation", timeout=60) as client:
            done = [(path, body, _post(client, path, body)) for path, body in work]
        began = time.perf_counter()
        with httpx.Client(base_url=f"{naive.url}/api/node/{root}/segmentation", timeout=60) as client:
            for path, body, _ in done:
                _post(client, path, body)
        naive_seconds = time.perf_counter() - began
        config = SyncConfig.model_validate(
            {
                "source": {"url": source.url},
                "repo": root,
                "settle_seconds": 0,
                "instances": ["segmentation"],
                "destinations": [{"name": "copy", "url": followed.url, "start": "beginning"}],
            }
        )
        began = time.perf_counter()
        reports = list(
            follow(config, config.destinations[0], checkpoint=None, epoch=1, still_owner=lambda: None)
        )
        seconds = time.perf_counter() - began
        applying = sum(report.seconds.get("apply", 0.0) for report in reports)
        requests = sum(report.requests for report in reports)
        same = _mapping(naive.url, root) == _mapping(followed.url, root)
        kind = "real DVID" if os.environ.get("DVID_BIN") else "sandbox"
        print(f"{kind}, {len(done)} operations, copies {'agree' if same else 'DIFFER'}")
        print(f"{'':12}{'requests':>10}{'seconds':>10}{'operations/s':>14}")
        print(f"{'one by one':12}{len(done):>10}{naive_seconds:>10.2f}{len(done) / naive_seconds:>14.0f}")
        print(f"{'follow':12}{requests:>10}{applying:>10.2f}{len(done) / applying:>14.0f}   (applying)")
        print(
            f"{'':12}{'':>10}{seconds:>10.2f}{len(done) / seconds:>14.0f}   (all: discover, look, drain, …)"
        )
        print(f"applying: {naive_seconds / applying:.1f} x, requests: 1/{len(done) / max(1, requests):.1f}")


def _work(operations: int, bodies: int) -> Iterator[tuple[str, list[int]]]:
    """Merges into a few hundred bodies, with a cleave now and then, over 4,096 supervoxels."""
    random = Random(1)
    free = list(range(bodies + 1, 4097))
    random.shuffle(free)
    members: dict[int, list[int]] = {body: [] for body in range(1, bodies + 1)}
    for _ in range(operations):
        body = random.randrange(1, bodies + 1)
        if free and (random.random() < 0.9 or not members[body]):
            label = free.pop()
            members[body].append(label)
            yield "merge", [body, label]
        elif members[body]:
            yield f"cleave/{body}", [members[body].pop(random.randrange(len(members[body])))]


def _post(client: httpx.Client, path: str, body: list[int]) -> str:
    answer = client.post(path, content=json.dumps(body), params={"u": "bench", "app": "bench"})
    answer.raise_for_status()
    return answer.text


def _mapping(url: str, root: str) -> list[int]:
    answer = httpx.request(
        "GET", f"{url}/api/node/{root}/segmentation/mapping", content=json.dumps(list(range(1, 4097)))
    )
    found: list[int] = answer.json()
    return found


if __name__ == "__main__":
    main()
