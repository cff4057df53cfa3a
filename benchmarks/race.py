"""People's work brought to copies of the source: by one request per operation, and by runs that follow.

The source does the work once. Each measurement has a fresh copy, which is met with the checkpoint of a run
that ended in order. All copies must end as the source.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.following import first_checkpoint, follow_on
from benchmarks.measuring import Measured
from benchmarks.one_by_one import Client, repeat
from benchmarks.people import Operation
from benchmarks.reconstruction import apart
from benchmarks.result import Result, Way
from benchmarks.setting import Setting, tenths
from benchmarks.source import LABELMAP, Source
from dvid_sandbox.launcher import DvidServer
from tests.state import State, differences, read_state

NAIVE = "one by one"
BOTH = {"replay": "replay", "state": "state"}


@dataclass(frozen=True, slots=True)
class Course:
    """Work whose ways to a destination are raced against each other.

    Args:
        operations: what people do in one version, of any number.
        supervoxels: that the labelmap begins with, each a body of its own.
        versions: the operations are spread over so many, each committed then; 0: all in one that stays open.
        ways: the destination's `apply` of each of our ways, by its name.
    """

    workload: str
    size: int
    operations: Iterable[Operation]
    supervoxels: int
    versions: int
    ways: Mapping[str, str]


def race(setting: Setting, course: Course) -> Result:
    """Measure one request per operation, and our ways."""
    with apart(setting, course.supervoxels) as source:
        with setting.copy_of(source) as server:
            checkpoint = first_checkpoint(source.config_of(server))
        left = shutil.copytree(source.quarantine, setting.folder / "left")
        requests = setting.folder / "requests"
        count = work(setting, source, course, requests)
        expected = _state(source.server, source.root)
        runs: dict[str, list[Measured]] = {NAIVE: [], **{name: [] for name in course.ways}}
        for way, turn in setting.turns(list(runs)):
            shutil.rmtree(source.quarantine)
            shutil.copytree(left, source.quarantine)
            with setting.copy_of(source) as server:
                if way == NAIVE:
                    took = setting.measured(repeat, url=server.url, requests=str(requests))
                else:
                    config = source.config_of(server, apply=course.ways[way])
                    took = setting.measured(follow_on, config=config, checkpoint=checkpoint)
                runs[way].append(_checked(took, count))
                if not turn:
                    _assert_same(way, expected, _state(server, source.root))
    return Result(
        course.workload, course.size, [Way.of(name, course.size, each) for name, each in runs.items()]
    )


def work(setting: Setting, source: Source, course: Course, requests: Path) -> int:
    """Do the work at the source; write down the requests that repeat it, and say how many these are."""
    version, count, announced = source.root, 0, 0
    every = -(-course.size // course.versions) if course.versions else 0
    with Client(source.server.url) as client, requests.open("w") as file:

        def ask(path: str, body: Any) -> None:
            nonlocal count
            count += 1
            client.ask(path, body)
            file.write(json.dumps([path, body]) + "\n")

        for number, (path, body) in enumerate(course.operations, 1):
            ask(f"/api/node/{version}/{path}", body)
            announced += 2 if path.startswith(f"{LABELMAP}/") else 1
            tenths(setting.say, "the source works", number, course.size)
            if every and (number % every == 0 or number == course.size):
                # The same id at the source and at each copy.
                child = f"{int(version, 16) + 1:032x}"
                ask(f"/api/node/{version}/commit", {"note": "done"})
                ask(f"/api/node/{version}/newversion", {"note": "next", "uuid": child})
                version = child
                announced += 2
    source.await_announced(announced)
    return count


def _checked(took: Measured, count: int) -> Measured:
    lacking = count - int(took.told["operations"])
    if lacking:
        # Those that the source could not send are in its own folder.
        raise RuntimeError(f"the log lacks {lacking} of {count} operations: measure again")
    told = {name: each for name, each in took.told.items() if name not in ("operations", "records")}
    return Measured(took.seconds, took.processor_seconds, took.memory_mb, told)


def _state(server: DvidServer, root: str) -> State:
    return read_state(server.url, root, server.admin_token, indices=True)


def _assert_same(way: str, expected: State, state: State) -> None:
    found = differences(expected, state)
    if found:
        raise RuntimeError("\n".join([f"{way} does not end as the source", *found[:10]]))
