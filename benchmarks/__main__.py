"""Measure workloads, each beside the naive way, and write a table, JSON and curves.

    python -m benchmarks [--only NAME …] [--size small|usual|large] [--repeats N] [--out FOLDER]

`usual` measures a tenth of the usual amount of work and all of it, `large` ten times that too, `small` a
hundredth. With DVID_BIN naming a DVID binary the servers are real ones, else the sandbox's. The broker is a
real Kafka where .ci/kafka has put one, else the embedded one. Each measurement has a process of its own.
Numbers are medians over the repeats; of memory, which is that of the whole process, the most.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.report import written
from benchmarks.result import Result
from benchmarks.setting import BLOCKS, Setting, server_kind
from benchmarks.workloads import SIZES, WORKLOADS, Workload
from dvid_sandbox.broker import EmbeddedBroker
from dvid_sandbox.real_server import RealServer
from tests.real_kafka import RealKafka, why_missing

OUT = Path("build/benchmarks")


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 1 where a workload failed."""
    chosen = _chosen(arguments)
    conditions = _conditions(chosen)
    units = {workload.name: workload.unit for workload in WORKLOADS.values()}
    results: list[Result] = []
    failed = False
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name, _broker(chosen.broker, Path(name)) as address:
        for workload, size in _planned(chosen):
            say = _teller(began, f"{workload.name} {size:,}")
            with tempfile.TemporaryDirectory(dir=name) as folder:
                setting = Setting(
                    Path(folder),
                    server_kind(),
                    address,
                    chosen.repeats,
                    say,
                    kept=chosen.keep,
                    blocks=chosen.blocks,
                )
                try:
                    results.append(workload.run(setting, size))
                except Exception:
                    traceback.print_exc()
                    failed = True
            # After each one, so that whoever ends it has what is there.
            conditions["load at the end"] = _load()
            text = written(chosen.out, results, conditions, units)
    print(text)
    return int(failed)


def _chosen(arguments: Sequence[str] | None) -> argparse.Namespace:
    about = "\n".join(f"  {name:14}{workload.about}" for name, workload in WORKLOADS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=f"workloads:\n{about}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), metavar="NAME")
    parser.add_argument("--size", choices=SIZES, default="usual")
    parser.add_argument("--work", type=int, metavar="N", help="so much work, in place of --size")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--blocks",
        type=int,
        default=BLOCKS,
        metavar="N",
        help=f"in which each supervoxel has voxels, on real servers: {BLOCKS}, if nothing is said. For "
        f"labels, open, values, agglomeration and backlog",
    )
    parser.add_argument("--out", type=Path, default=OUT, metavar="FOLDER")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="keep servers that take long to fill for the next time"
    )
    parser.add_argument("--broker", metavar="HOST:PORT", help="a running one; topics are left behind there")
    chosen = parser.parse_args(arguments)
    if chosen.repeats < 1:
        parser.error("--repeats is below 1")
    if chosen.blocks < 1:
        parser.error("--blocks is below 1")
    if not _planned(chosen):
        parser.error(f"{', '.join(chosen.only)}: only with --size large, or with --work")
    return chosen


def _planned(chosen: argparse.Namespace) -> list[tuple[Workload, int]]:
    workloads = [WORKLOADS[name] for name in chosen.only]
    if chosen.work:
        return [(workload, chosen.work) for workload in workloads]
    return [(workload, size) for workload in workloads for size in workload.sizes(chosen.size)]


@contextmanager
def _broker(address: str | None, folder: Path) -> Iterator[str]:
    if address:
        yield address
        return
    with EmbeddedBroker.start() if why_missing() else RealKafka.start(folder / "kafka") as broker:
        yield broker.address


def _conditions(chosen: argparse.Namespace) -> dict[str, str]:
    return {
        "when": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "servers": "real DVID" if server_kind() is RealServer else "sandbox",
        "broker": chosen.broker or ("embedded" if why_missing() else "Apache Kafka"),
        "machine": f"{os.cpu_count()} processors, Python {platform.python_version()}",
        "repeats": str(chosen.repeats),
        "blocks of a supervoxel": str(chosen.blocks),
        "load at the beginning": _load(),
    }


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}"


def _teller(began: float, name: str) -> Callable[[str], None]:
    def say(what: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {name}: {what}", file=sys.stderr, flush=True)

    return say


if __name__ == "__main__":
    sys.exit(main())
