"""Where `apply: auto` should begin to bring operations in bulk: what a chunk costs either way.

    DVID_BIN=/path/to/dvid python -m benchmarks.choice [--operations N] [--repeats N] [--blocks N]

A source does so many label operations, without cleaves and with 30 %. Fresh copies follow its log in chunks
of each size, by `replay` and by `state`. Told are milliseconds of planning and applying for a chunk (the
first one, which meets a new server, is left out), the requests that `replay` takes for it, and the load.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

from benchmarks.following import first_checkpoint
from benchmarks.people import BODIES, CLEAVES, labels
from benchmarks.race import Course, work
from benchmarks.reconstruction import apart
from benchmarks.setting import BLOCKS, Setting, server_kind
from benchmarks.source import Source
from dvid_sandbox.broker import EmbeddedBroker
from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.log.checkpoint_json import checkpoint_from_json
from dvidsync_dagster.run.follow import follow
from dvidsync_dagster.run.report import ChunkReport
from tests.real_kafka import RealKafka, why_missing

CHUNKS = (20, 50, 100, 200, 500, 2_000)
WAYS = ("replay", "state")
ENOUGH = 40
"""Chunks of one size that are measured."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.choice")
    parser.add_argument("--operations", type=int, default=6_000, metavar="N")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--blocks", type=int, default=BLOCKS, help="in which each supervoxel has voxels")
    chosen = parser.parse_args()
    print(f"{'cleaves':>8}{'chunk':>7}{'replay ms':>11}{'state ms':>10}{'requests':>10}{'load':>6}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with EmbeddedBroker.start() if why_missing() else RealKafka.start(folder / "kafka") as broker:
            for share in (0.0, CLEAVES):
                own = folder / f"{share}"
                own.mkdir()
                setting = Setting(
                    own,
                    server_kind(),
                    broker.address,
                    chosen.repeats,
                    lambda _: None,
                    blocks=chosen.blocks,
                )
                for line in _measured(setting, share, chosen.operations):
                    print(line, flush=True)


def _measured(setting: Setting, share: float, operations: int) -> Iterator[str]:
    with apart(setting, BODIES + operations) as source:
        with setting.copy_of(source) as server:
            checkpoint = first_checkpoint(source.config_of(server))
        left = shutil.copytree(source.quarantine, setting.folder / "left")
        course = Course("choice", operations, labels(operations, share), BODIES + operations, 0, {})
        work(setting, source, course, setting.folder / "requests")
        for size in CHUNKS:
            found: dict[str, list[ChunkReport]] = {way: [] for way in WAYS}
            for way, _ in setting.turns(WAYS):
                shutil.rmtree(source.quarantine)
                shutil.copytree(left, source.quarantine)
                found[way] += _chunks(setting, source, checkpoint, size, way)
            seconds = {
                way: statistics.median(
                    [each.seconds.get("plan", 0.0) + each.seconds["apply"] for each in chunks]
                )
                for way, chunks in found.items()
            }
            requests = statistics.median([each.requests for each in found["replay"]])
            yield (
                f"{share:>8.0%}{size:>7}{seconds['replay'] * 1000:>11.0f}{seconds['state'] * 1000:>10.0f}"
                f"{requests:>10.0f}{os.getloadavg()[0]:>6.1f}"
            )


def _chunks(
    setting: Setting, source: Source, checkpoint: dict[str, object], size: int, way: str
) -> list[ChunkReport]:
    """The reports of whole chunks but the first. An operation is announced twice, when it begins and ends."""
    with setting.copy_of(source) as server:
        config = SyncConfig.model_validate(source.config_of(server, apply=way))
        # A run whose log is short has chunks that are smaller than may be asked for.
        config = config.model_copy(update={"chunk_records": 2 * size})
        reports = follow(
            config,
            config.destinations[0],
            checkpoint=checkpoint_from_json(checkpoint),
            epoch=2,
            still_owner=lambda: None,
        )
        with closing(reports):
            return [each for each in islice(reports, 1, ENOUGH + 1) if each.operations >= 0.9 * size]


if __name__ == "__main__":
    main()
