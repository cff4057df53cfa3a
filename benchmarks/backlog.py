"""What a whole run over a long backlog takes, and how much memory.

The log of a source tells of merges that nobody did. One request per operation is measured on the first of
them only.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.announcing import Record, announce
from benchmarks.following import follow_on
from benchmarks.measuring import Measured
from benchmarks.one_by_one import repeat
from benchmarks.people import Operation
from benchmarks.race import NAIVE
from benchmarks.reconstruction import apart
from benchmarks.result import Result, Way
from benchmarks.setting import Setting
from benchmarks.source import LABELMAP

BODIES = 500
FIRST = 20_000
"""How many operations are brought by one request each."""
_STEP_NS = 2_000_000
_FOUR_HOURS_NS = 4 * 3600 * 10**9


def backlog(setting: Setting, operations: int) -> Result:
    """A backlog of so many merges."""
    sizes = {NAIVE: min(operations, FIRST), "replay": operations}
    runs: dict[str, list[Measured]] = {name: [] for name in sizes}
    with apart(setting, BODIES + operations) as source:
        setting.say("the log is filled")
        announce(setting.broker, source.topics[LABELMAP], _records(source.root, operations))
        requests = setting.folder / "requests"
        with requests.open("w") as file:
            for _, (path, body) in zip(range(FIRST), _merges(operations), strict=False):
                file.write(json.dumps([f"/api/node/{source.root}/{path}", body]) + "\n")
        for way, _ in setting.turns(list(runs)):
            with setting.copy_of(source) as server:
                if way == NAIVE:
                    took = setting.measured(repeat, url=server.url, requests=str(requests))
                else:
                    took = setting.measured(follow_on, config=source.config_of(server))
            if took.told["operations"] < sizes[way]:
                raise RuntimeError(f"{way} did {took.told['operations']:.0f} operations of {sizes[way]}")
            runs[way].append(took)
            shutil.rmtree(source.quarantine)
    return Result("backlog", operations, [Way.of(name, sizes[name], each) for name, each in runs.items()])


def _merges(count: int) -> Iterator[Operation]:
    for number in range(count):
        yield f"{LABELMAP}/merge", [1 + number * 7919 % BODIES, BODIES + 1 + number]


def _records(version: str, merges: int) -> Iterator[Record]:
    """Of each the start and the completion."""
    key = time.time_ns() - max(_FOUR_HOURS_NS, 2 * merges * _STEP_NS)
    for number, (_, [target, label]) in enumerate(_merges(merges)):
        message: dict[str, Any] = {
            "Action": "merge",
            "App": "bench",
            "Labels": [label],
            "MutationID": 2_000_000_000 + number,
            "Target": target,
            "Timestamp": "2026-11-23 05:18:01.29240166 +0000 UTC m=+4.965783185",
            "UUID": version,
            "User": "bench",
        }
        for action in ("merge", "merge-complete"):
            key += _STEP_NS
            yield key, json.dumps({**message, "Action": action}).encode()
