"""What it costs to keep a snapshot in a bucket up to date.

    python -m benchmarks.snapshot [--millions 1 10 50] [--merges 100000] [--repeats 5]
    DVID_BIN=/path/to/dvid python -m benchmarks.snapshot --first 10 [--keep FOLDER]

The first measures runs of `follow` into a folder with tables of so many million supervoxels: 1,000 mutations
in a run and, with 10 million, 100,000 merges. The second measures, with a real DVID of so many million
supervoxels, the first snapshot beside the mere download of `mappings` and sizes; then a run that brings 1,000
merges beside a full dump. Its server takes minutes to fill, and is kept in FOLDER for the next time.
``--quick`` is a small run of the first kind, which fails if too much is written.

Each run has a process of its own. Numbers are medians; of memory, which is that of the whole process, the
most. Processor seconds are those of the process, whatever else the machine does. What is written is told in
three parts: tables that are written anew where rows changed (mapping, bodies), `edits`, and the rest (the
tables' logs, `snapshot.json` and what stands beside it).
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks import snapshot_scene
from benchmarks.measuring import MB, Measured, Work, Written, carried_out, measured
from benchmarks.plot import Line, plot
from benchmarks.reconstruction import LABELMAP, Mutation, Proofreading, Reconstruction, fill_bucket
from benchmarks.snapshot_scene import Followed, in_real_server, in_sandbox
from dvidsync_dagster.config import BucketConfig, SyncConfig

NAME = "benchmarks.snapshot"
WORKS: Mapping[str, Work] = {
    "run": snapshot_scene.run,
    "download": snapshot_scene.download,
    "dump": snapshot_scene.dump,
}
MILLION = 1_000_000
MUTATIONS = 1_000
OF_MERGES = 10 * MILLION
"""Supervoxels of the tables into which many merges go."""
QUICK = MILLION // 5
"""Supervoxels."""
UNFOLDED_KB = 1_000
"""What a run may write besides the tables that are written anew."""
DOWNLOAD, FIRST = "download alone", "first snapshot"
REFRESH, DUMP = f"{MUTATIONS:,} merges", "full dump"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the result.

    Args:
        anew_mb: written to mapping and bodies.
    """

    what: str
    supervoxels: int
    seconds: float
    processor_seconds: float
    memory_mb: float
    anew_mb: float = 0.0
    edits_kb: float = 0.0
    rest_kb: float = 0.0
    files: float = 0.0

    @classmethod
    def of(cls, what: str, supervoxels: int, runs: list[Measured]) -> Row:
        """The medians of some runs; of memory the most."""
        told = {name: median(run.told[name] for run in runs) for name in runs[0].told}
        return cls(
            what,
            supervoxels,
            median(run.seconds for run in runs),
            median(run.processor_seconds for run in runs),
            max(run.memory_mb for run in runs),
            anew_mb=told.get("anew", 0) / MB,
            edits_kb=told.get("edits", 0) / 1000,
            rest_kb=told.get("rest", 0) / 1000,
            files=told.get("files", 0),
        )

    def __str__(self) -> str:
        row = f"{self.what:20}{self.supervoxels:>12,}{self.seconds:>9.2f}{self.processor_seconds:>9.2f}"
        row += f"{self.memory_mb:>9.0f}"
        if not self.files:
            return row
        return f"{row}{self.anew_mb:>9.1f}{self.edits_kb:>9.1f}{self.rest_kb:>9.1f}{self.files:>7.0f}"


HEAD = (
    f"{'':20}{'supervoxels':>12}{'seconds':>9}{'cpu s':>9}{'MB held':>9}{'MB anew':>9}{'edits kB':>9}"
    f"{'rest kB':>9}{'files':>7}"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--millions", type=int, nargs="+", default=[1, 10, 50])
    parser.add_argument("--merges", type=int, default=100_000, help="0 leaves them out")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--first", type=int, metavar="MILLIONS")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.work:
        carried_out(chosen.work, WORKS)
        return
    load = f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} processors"
    print(f"{load}\n{HEAD}", flush=True)
    rows = []
    for row in _rows(chosen):
        print(row, flush=True)
        rows.append(row)
    print(f"load {os.getloadavg()[0]:.1f}")
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    if chosen.plot:
        chosen.plot.write_text(_plotted(rows))
    if chosen.first:
        _print_ratios({row.what: row.seconds for row in rows})


def _rows(chosen: argparse.Namespace) -> Iterator[Row]:
    if chosen.first:
        yield from _beside_server(chosen.first * MILLION, chosen.repeats, chosen.keep)
    elif chosen.quick:
        for row in _into_tables(QUICK, 1, 0):
            yield row
            if row.edits_kb + row.rest_kb > UNFOLDED_KB:
                raise SystemExit(f"{row.edits_kb + row.rest_kb:.0f} kB besides the tables written anew")
    else:
        for millions in chosen.millions:
            count = millions * MILLION
            yield from _into_tables(count, chosen.repeats, chosen.merges if count == OF_MERGES else 0)


def _into_tables(supervoxels: int, repeats: int, merges: int) -> Iterator[Row]:
    """Runs into tables of so many supervoxels."""
    held = Reconstruction.of(supervoxels)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        here = stack.enter_context(in_sandbox(folder))
        measured(NAME, "run", config=here.config())
        [destination] = SyncConfig.model_validate(here.config()).destinations
        assert isinstance(destination, BucketConfig)
        fill_bucket(destination, here.root, held)
        work = Proofreading(held, here.head)
        runs = [_run(here, MUTATIONS, here.announce, work.mixed) for _ in range(repeats)]
        yield Row.of(f"{MUTATIONS:,} mutations", supervoxels, runs)
        if merges:
            runs = [_run(here, merges, here.announce, work.merges) for _ in range(repeats)]
            yield Row.of(f"{merges:,} merges", supervoxels, runs)


def _beside_server(supervoxels: int, repeats: int, keep: Path | None) -> Iterator[Row]:
    """First snapshots of a real server, and runs that bring work, each beside what is done today."""
    held = Reconstruction.of(supervoxels)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        here = stack.enter_context(in_real_server(folder, held, keep or folder / "kept"))
        url = here.source.url
        bare, first = [], []
        for number in range(repeats):
            bare.append(measured(NAME, "download", url=url, version=here.root))
            here = replace(here, bucket=folder / f"bucket{number}")
            first.append(measured(NAME, "run", config=here.config()))
        yield Row.of(DOWNLOAD, supervoxels, bare)
        yield Row.of(FIRST, supervoxels, first)
        work = Proofreading(held, here.head)
        runs, dumps = [], []
        for _ in range(repeats):
            runs.append(_run(here, MUTATIONS, here.merge, work.merges))
            dumps.append(measured(NAME, "dump", url=url, version=here.head, folder=str(folder)))
        yield Row.of(REFRESH, supervoxels, runs)
        yield Row.of(DUMP, supervoxels, dumps)


def _run(
    here: Followed,
    count: int,
    do: Callable[[Iterable[Mutation]], None],
    work: Callable[[int], Iterable[Mutation]],
) -> Measured:
    """A run that brings so much work."""
    do(work(count))
    written = Written(here.bucket)
    run = measured(NAME, "run", config=here.config())
    assert run.told["operations"] == count, run.told
    parts = written.by_part(_part)
    told = {name: parts.get(name, (0, 0))[0] for name in ("anew", "edits", "rest")}
    return replace(run, told={**told, "files": sum(files for _, files in parts.values())})


def _part(name: str) -> str:
    """Of a file in the bucket."""
    folder, _, file = name.rpartition("/")
    if not file.endswith(".parquet"):
        return "rest"
    return {f"{LABELMAP}/mapping": "anew", f"{LABELMAP}/bodies": "anew", f"{LABELMAP}/edits": "edits"}.get(
        folder.partition("/")[2], "rest"
    )


def _plotted(rows: list[Row]) -> str:
    """How the cost grows with the size."""
    own = [row for row in rows if row.what == f"{MUTATIONS:,} mutations"]
    lines = {
        "seconds": [row.seconds for row in own],
        "MB of memory": [row.memory_mb for row in own],
        "MB written anew": [row.anew_mb for row in own],
        "kB of edits": [row.edits_kb for row in own],
    }
    sizes = [row.supervoxels / MILLION for row in own]
    return plot(
        [Line(name, list(zip(sizes, values, strict=True))) for name, values in lines.items()],
        f"million supervoxels; a run that brings {MUTATIONS:,} mutations",
    )


def _print_ratios(seconds: dict[str, float]) -> None:
    print(f"first snapshot: {seconds[FIRST] / seconds[DOWNLOAD]:.2f} x the download")
    print(f"a run: {seconds[DUMP] / seconds[REFRESH]:.1f} x faster than a full dump")


if __name__ == "__main__":
    main()
