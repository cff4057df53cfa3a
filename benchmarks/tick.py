"""What a run with nothing new takes, from the start of its process to its end, above Dagster alone.

    python -m benchmarks.tick [--rounds 5]

A sandbox server with an embedded broker is the source; a server and a folder with a snapshot have followed it
to its end. Then, in turns, each in a process of its own as Dagster's daemon starts them: the job of a module
that has one asset, which does nothing; the job that lets the server follow; the one that lets the snapshot.
The median of the rounds counts; seconds are the clock's and the processor's.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import yaml

from dvidsync_dagster.orchestration.partitions import FOLLOW, range_tags
from tests.stage import stage

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


class Took(NamedTuple):
    """What a process took."""

    seconds: float
    processor_seconds: float


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=5)
    rounds = arguments.parse_args().rounds
    with tempfile.TemporaryDirectory() as name, stage(Path(name)) as scene:
        folder = Path(name)
        for _ in range(5):
            scene.merge_next()
        fields = scene.fields()
        fields["destinations"].append({"name": "snapshot", "bucket": str(folder / "snapshot")})
        config = folder / "config.yaml"
        config.write_text(yaml.safe_dump(fields))
        (folder / "bare.py").write_text(_BARE_MODULE)
        home = folder / "home"
        home.mkdir()
        (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        environment = {**os.environ, "DAGSTER_HOME": str(home), "DVIDSYNC_CONFIG": str(config)}
        repo = f"repo_{scene.root[:8]}"
        jobs = {
            BARE: ["-f", str(folder / "bare.py"), "-j", "nothing_job"],
            "server": ["-m", "dvidsync_dagster.definitions", "-j", f"follow_{repo}_copy"],
            "snapshot": ["-m", "dvidsync_dagster.definitions", "-j", f"follow_{repo}_snapshot"],
        }
        for job in jobs.values():
            _took(job, environment)  # brings all that is new
        took = [{name: _took(job, environment) for name, job in jobs.items()} for _ in range(rounds)]
    found = {name: _median([each[name] for each in took]) for name in jobs}
    print(f"{'':14} {'seconds':>8} {'above':>6} {'processor':>10} {'above':>6}")
    for name, (seconds, processor) in found.items():
        above = seconds - found[BARE].seconds, processor - found[BARE].processor_seconds
        print(f"{name:14} {seconds:>8.2f} {above[0]:>6.2f} {processor:>10.2f} {above[1]:>6.2f}")


def _took(job: list[str], environment: Mapping[str, str]) -> Took:
    window = datetime.now(UTC).strftime("%Y-%m-%d-%H:00")
    tags = json.dumps({**range_tags(window, window), FOLLOW: "true"})
    began, used = time.perf_counter(), os.times()
    subprocess.run(
        [sys.executable, "-m", "dagster", "job", "execute", *job, "--tags", tags],
        check=True,
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    now = os.times()
    processor = now.children_user + now.children_system - used.children_user - used.children_system
    return Took(time.perf_counter() - began, processor)


def _median(rounds: Sequence[Took]) -> Took:
    place = len(rounds) // 2
    return Took(*(sorted(column)[place] for column in zip(*rounds, strict=True)))


if __name__ == "__main__":
    main()
