"""How fast two labelmaps are compared, and how much memory it takes.

    .venv/bin/python -m benchmarks.compare [--labels 1000000] [--dvid PATH]

Fills a server with so many bodies of two supervoxels each, copies its folder, and compares: first as they
are, then with a thousand supervoxels in another body. Before each figure stands what the servers alone need
to answer. Without ``--dvid`` the sandbox plays both servers.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import httpx

from dvid_sandbox import wire
from dvid_sandbox.launcher import DvidServer, SandboxServer
from dvid_sandbox.proofreaders import make_repo
from dvid_sandbox.real_server import RealServer
from dvidsync_dagster.datatypes.labelmap.comparison import MAPPING, SIZES
from dvidsync_dagster.differences.items import ServerPair, find, side_by_side
from dvidsync_dagster.differences.sides import DvidSide
from dvidsync_dagster.dvid.http import DvidClient
from dvidsync_dagster.dvid.paths import node_path
from dvidsync_dagster.dvid.protobuf import mapping_ops

LABELMAP = "segmentation"
FIRST = 1 << 40
DIFFERENT = 1000
_BATCH = 20_000

Result = TypeVar("Result")


def post(url: str, root: str, endpoint: str, body: bytes) -> None:
    path = f"{url}/api/node/{root}/{LABELMAP}/{endpoint}"
    answer = httpx.post(path, content=body, params={"admintoken": "adm"}, timeout=600)
    answer.raise_for_status()


def fill(url: str, root: str, labels: int) -> None:
    """Bodies `FIRST` + 2n of two supervoxels, as indices; there are no voxels to them.

    Of each the second supervoxel is mapped, many to one body, as a server syncs each group of a mapping.
    """
    for start in range(0, labels, _BATCH):
        bodies = [FIRST + 2 * number for number in range(start, min(start + _BATCH, labels))]
        indices = wire.LabelIndices()
        for body in bodies:
            index = indices.indices.add(label=body)
            counts = index.blocks[body % 4096].counts
            counts[body] = 100 + body % 50
            counts[body + 1] = 10
        post(url, root, "indices", indices.SerializeToString())
        post(url, root, "mappings", mapping_ops({bodies[0]: [body + 1 for body in bodies]}, 0))


@contextmanager
def two_servers(folder: Path, labels: int, dvid: str | None) -> Iterator[ServerPair]:
    kind: type[DvidServer] = SandboxServer
    if dvid:
        os.environ["DVID_BIN"] = dvid
        kind = RealServer
    with kind.start(folder / "source") as source:
        root = make_repo(source.url, source.admin_token, size=64, cube=16).root
        fill(source.url, root, labels)
        source.stop()
        copied = source.copy_to(folder / "copy")
        source.restart()
        with kind.start(copied) as copy, DvidClient(source.url) as one, DvidClient(copy.url) as other:
            yield ServerPair(DvidSide(one, root, LABELMAP), DvidSide(other, root, LABELMAP), settled=True)


def timed(what: str, work: Callable[[], Result]) -> Result:
    began = time.monotonic()
    result = work()
    print(f"{what:55} {time.monotonic() - began:6.2f} s", flush=True)
    return result


def bare(pair: ServerPair, endpoint: str, query: dict[str, str | int]) -> None:
    """What both servers need, read side by side and thrown away."""

    def read(side: DvidSide) -> None:
        with side.client.stream(node_path(side.version, side.name, endpoint), query=query) as pieces:
            for _ in pieces:
                pass

    side_by_side(read, pair.source, pair.destination)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--labels", type=int, default=1_000_000)
    parser.add_argument("--dvid", help="the binary of a real DVID")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        with two_servers(Path(folder), options.labels, options.dvid) as pair:
            print(f"{options.labels:,} bodies made in {time.monotonic() - began:.0f} s", flush=True)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            timed("GET mappings of both servers", lambda: bare(pair, "mappings", {"format": "binary"}))
            found, count = timed("mapping compared", lambda: find(MAPPING, pair))
            assert found is None
            print(f"  {count:,} supervoxels listed")
            timed("GET listlabels of both servers", lambda: bare(pair, "listlabels", {"sizes": "true"}))
            found, count = timed("labels with sizes compared", lambda: find(SIZES, pair))
            assert found is None
            print(f"  {count:,} bodies listed")
            bodies = [FIRST + 2 * number for number in range(DIFFERENT)]
            post(
                pair.destination.client.url,
                pair.destination.version,
                "mappings",
                mapping_ops({FIRST - 2: bodies}, 0),
            )
            found, _ = timed(f"mapping compared, {DIFFERENT} differ", lambda: find(MAPPING, pair))
            assert found is not None
            assert len(found) == DIFFERENT
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            print(f"memory grew by {grown / 1024:.0f} MB at most")


if __name__ == "__main__":
    main()
