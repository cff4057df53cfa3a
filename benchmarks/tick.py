"""What a run with nothing new takes, from the start of its process to its end, above Dagster alone.

A server and a folder with a snapshot have followed a source to the end of its log. Then, in turns, each in a
process of its own as Dagster's daemon starts them: the job of a module that has one asset, which does
nothing; the job that lets the server follow; the one that lets the snapshot.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import yaml

from benchmarks.measuring import Measured, measured_process
from benchmarks.one_by_one import Client
from benchmarks.people import BODIES, labels
from benchmarks.reconstruction import apart
from benchmarks.result import Result, Way
from benchmarks.setting import Setting, tenths
from benchmarks.source import Source
from dvid_sandbox.launcher import DvidServer
from dvidsync_dagster.orchestration.partitions import FOLLOW, range_tags

BARE = "Dagster alone"
_BARE_MODULE = """
import dagster as dg

@dg.asset(
    partitions_def=dg.HourlyPartitionsDefinition("2026-01-01-00:00", end_offset=1), output_required=False
)
def nothing():
    yield from ()

defs = dg.Definitions([nothing], jobs=[dg.define_asset_job("nothing_job", [nothing])],
    executor=dg.in_process_executor)
"""


def tick(setting: Setting, operations: int) -> Result:
    """Runs after so many operations have been brought."""
    with started(setting, operations) as starts:
        for start in starts.values():
            start()  # brings all that is new
        runs: dict[str, list[Measured]] = {name: [] for name in starts}
        for name, _ in setting.turns(list(starts)):
            runs[name].append(starts[name]())
    return Result("tick", operations, [Way.of(name, operations, each) for name, each in runs.items()])


@contextmanager
def started(setting: Setting, operations: int) -> Iterator[Mapping[str, Callable[[], Measured]]]:
    """What starts each job in a process, by the name of the way."""
    with apart(setting, BODIES + operations) as source:
        with Client(source.server.url) as client:
            for number, (path, body) in enumerate(labels(operations), 1):
                client.ask(f"/api/node/{source.root}/{path}", body)
                tenths(setting.say, "the source works", number, operations)
        source.await_announced(2 * operations)
        with setting.copy_of(source) as server:
            environment = _environment(setting.folder, source, server)
            jobs = _jobs(setting.folder, source.root)
            yield {name: partial(_took, job, environment) for name, job in jobs.items()}


def _environment(folder: Path, source: Source, server: DvidServer) -> Mapping[str, str]:
    fields = source.config_of(server)
    fields["destinations"].append({"name": "snapshot", "bucket": str(folder / "snapshot")})
    fields["windows"] = {"every": "hourly", "start_date": "2026-01-01"}
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(fields))
    home = folder / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    return {**os.environ, "DAGSTER_HOME": str(home), "DVIDSYNC_CONFIG": str(config)}


def _jobs(folder: Path, root: str) -> dict[str, list[str]]:
    """Arguments of Dagster by the name of a way."""
    bare = folder / "bare.py"
    bare.write_text(_BARE_MODULE)
    repo = f"repo_{root[:8]}"
    return {
        BARE: ["-f", str(bare), "-j", "nothing_job"],
        "server": ["-m", "dvidsync_dagster.definitions", "-j", f"follow_{repo}_copy"],
        "snapshot": ["-m", "dvidsync_dagster.definitions", "-j", f"follow_{repo}_snapshot"],
    }


def _took(job: list[str], environment: Mapping[str, str]) -> Measured:
    window = datetime.now(UTC).strftime("%Y-%m-%d-%H:00")
    tags = json.dumps({**range_tags(window, window), FOLLOW: "true"})
    command = [sys.executable, "-m", "dagster", "job", "execute", *job, "--tags", tags]
    return measured_process(command, environment)
