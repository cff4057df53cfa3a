"""What `apply: state` gains: label operations in bulk, beside one request for each, one after the other.

    python -m benchmarks.state [--operations 20000] [--cleaves 0.3] [--versions 3]

Copies of one source, all in one run: the first gets the operations one by one, the others by `follow`, with
`apply: replay` and with `apply: state`. The operations are spread over `--versions` versions, which are
committed at the source, or with 0 all in one that stays open. Each copy has followed before, and is met
with the checkpoint of a run that ended in order. With DVID_BIN naming a DVID binary the servers
are real ones, else sandbox servers. Prints requests, seconds of the whole run, the ratio to one by one, and
the most memory that the process of the run held; the bodies of all copies must end the same.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random

import httpx

from benchmarks.measuring import carried_out, measured
from dvid_sandbox.broker import EmbeddedBroker
from dvid_sandbox.launcher import SandboxServer
from dvid_sandbox.proofreaders import make_repo
from dvid_sandbox.real_server import RealServer
from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.log.checkpoint_json import checkpoint_from_json, checkpoint_json
from dvidsync_dagster.run.follow import follow
from tests.state import differences, read_state

Server = RealServer | SandboxServer

ADMIN_TOKEN = "adm"
TOKEN_ENV = "DVIDSYNC_BENCHMARK_TOKEN"
LABELS = "segmentation"
SIZE, CUBE = 256, 8


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--operations", type=int, default=20_000)
    arguments.add_argument("--cleaves", type=float, default=0.3)
    arguments.add_argument("--versions", type=int, default=3)
    arguments.add_argument("--without-replay", action="store_true")
    arguments.add_argument("--work", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.work:
        carried_out(chosen.work, {"follow": _follow})
        return
    os.environ[TOKEN_ENV] = ADMIN_TOKEN
    start: Callable[..., Server] = RealServer.start if os.environ.get("DVID_BIN") else SandboxServer.start
    ways = ["state"] if chosen.without_replay else ["replay", "state"]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = stack.enter_context(EmbeddedBroker.start())
        source = start(
            folder / "source", kafka=broker.address, topic_prefix="bench-", admin_token=ADMIN_TOKEN
        )
        stack.callback(lambda: source.stop() if source.running else None)
        root = make_repo(source.url, ADMIN_TOKEN, size=SIZE, cube=CUBE).root
        source.stop()
        folders = {name: source.copy_to(folder / name) for name in ("one by one", *ways)}
        source.restart()
        before = {name: _checkpoint(source, folders[name], start, root, name) for name in ways}
        done = _work(source.url, root, chosen.operations, chosen.cleaves, chosen.versions)
        print(f"{'real DVID' if os.environ.get('DVID_BIN') else 'sandbox'}, {chosen.operations} operations")
        print(f"{'':12}{'requests':>10}{'seconds':>10}{'ratio':>8}{'MB':>8}")
        naive_seconds = 0.0
        states = []
        for name, copy in folders.items():
            with start(copy, admin_token=ADMIN_TOKEN) as server:
                if name == "one by one":
                    began = time.perf_counter()
                    _repeat(server.url, done)
                    naive_seconds = time.perf_counter() - began
                    print(f"{name:12}{len(done):>10}{naive_seconds:>10.2f}{1.0:>8.1f}")
                else:
                    took = measured(
                        "benchmarks.state",
                        "follow",
                        config=_config(source, server, root, name),
                        checkpoint=before[name],
                    )
                    lacking = len(done) - int(took.told["operations"])
                    if lacking:
                        # Those that the source could not send are in its own folder.
                        sys.exit(f"the log lacks {lacking} of {len(done)} operations: measure again")
                    print(
                        f"{name:12}{took.told['requests']:>10.0f}{took.seconds:>10.2f}"
                        f"{naive_seconds / took.seconds:>8.1f}{took.memory_mb:>8.0f}   "
                        + ", ".join(
                            f"{stage} {seconds:.2f} s"
                            for stage, seconds in took.told.items()
                            if stage not in ("requests", "operations")
                        ),
                        flush=True,
                    )
                states.append(read_state(server.url, root, ADMIN_TOKEN, indices=True, instances=[LABELS]))
        for state in states[1:]:
            found = differences(states[0], state)
            print("the copies agree" if not found else "\n".join(["the copies DIFFER", *found[:10]]))


def _config(source: Server, server: Server, root: str, way: str) -> dict[str, object]:
    return {
        "source": {"url": source.url},
        "repo": root,
        "settle_seconds": 0,
        "instances": [LABELS],
        "destinations": [
            {
                "name": "copy",
                "url": server.url,
                "start": "beginning",
                "apply": way,
                "admin_token_env": TOKEN_ENV,
            }
        ],
    }


def _checkpoint(source: Server, copy: Path, start: Callable[..., Server], root: str, way: str) -> object:
    """Of a first run, which finds nothing to do."""
    with start(copy, admin_token=ADMIN_TOKEN) as server:
        config = SyncConfig.model_validate(_config(source, server, root, way))
        reports = follow(config, config.destinations[0], checkpoint=None, epoch=1, still_owner=lambda: None)
        return checkpoint_json(list(reports)[-1].checkpoint)


def _follow(config: dict[str, object], checkpoint: dict[str, object]) -> dict[str, float]:
    chosen, known = SyncConfig.model_validate(config), checkpoint_from_json(checkpoint)
    reports = list(
        follow(chosen, chosen.destinations[0], checkpoint=known, epoch=2, still_owner=lambda: None)
    )
    assert not any(report.left_something_out or report.unexplained for report in reports)
    assert reports[-1].lag_after.records == 0
    told = {
        "requests": float(sum(report.requests for report in reports)),
        "operations": float(sum(report.operations for report in reports)),
    }
    for report in reports:
        for stage, seconds in report.seconds.items():
            told[stage] = told.get(stage, 0.0) + seconds
    return told


def _work(url: str, root: str, operations: int, cleaves: float, versions: int) -> list[tuple[str, str]]:
    """Work at the source; the requests that repeat it."""
    done: list[tuple[str, str]] = []
    open_version = root
    with httpx.Client(base_url=url, timeout=60) as client:

        def ask(path: str, body: object) -> str:
            content = json.dumps(body)
            answer = client.post(path, content=content, params={"u": "bench", "app": "bench"})
            answer.raise_for_status()
            done.append((path, content))
            return answer.text

        for number, (path, body) in enumerate(_operations(operations, cleaves)):
            if versions and number and number % -(-operations // versions) == 0:
                open_version = _next_version(ask, open_version)
            ask(f"/api/node/{open_version}/{LABELS}/{path}", body)
        if versions:
            _next_version(ask, open_version)
    return done


def _next_version(ask: Callable[[str, object], str], version: str) -> str:
    ask(f"/api/node/{version}/commit", {"note": "done"})
    # The same id at the source and at each copy.
    child = f"{int(version, 16) + 1:032x}"
    ask(f"/api/node/{version}/newversion", {"note": "next", "uuid": child})
    return child


def _repeat(url: str, done: list[tuple[str, str]]) -> None:
    with httpx.Client(base_url=url, timeout=60) as client:
        for path, content in done:
            client.post(path, content=content, params={"u": "bench", "app": "bench"}).raise_for_status()


def _operations(operations: int, cleaves: float) -> Iterator[tuple[str, list[int]]]:
    """Merges into a few hundred bodies, and cleaves of what was merged."""
    random = Random(1)
    bodies = 400
    free = list(range(bodies + 1, (SIZE // CUBE) ** 3 + 1))
    random.shuffle(free)
    members: dict[int, list[int]] = {body: [] for body in range(1, bodies + 1)}
    for _ in range(operations):
        body = random.randrange(1, bodies + 1)
        if members[body] and (random.random() < cleaves or not free):
            yield f"cleave/{body}", [members[body].pop(random.randrange(len(members[body])))]
        else:
            label = free.pop()
            members[body].append(label)
            yield "merge", [body, label]


if __name__ == "__main__":
    main()
