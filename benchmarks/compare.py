"""How fast two labelmaps are compared, and how much memory it takes, beside the download of what is compared.

Each server has bodies of two supervoxels. They are compared as they are, and then with a thousand supervoxels
in another body.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import httpx

from benchmarks.measuring import Measured
from benchmarks.result import Result, Way
from benchmarks.setting import Setting
from benchmarks.source import LABELMAP
from dvid_sandbox import wire
from dvid_sandbox.launcher import DvidServer
from dvidsync_dagster.datatypes.labelmap.comparison import MAPPING, SIZES
from dvidsync_dagster.differences.items import ServerPair, find, side_by_side
from dvidsync_dagster.differences.sides import DvidSide
from dvidsync_dagster.dvid.http import DvidClient
from dvidsync_dagster.dvid.paths import node_path
from dvidsync_dagster.dvid.protobuf import mapping_ops

FIRST = 1 << 40
DIFFERENT = 1000
DOWNLOAD, SAME, DIFFERING = "download alone", "compared", f"compared, {DIFFERENT:,} differ"
_BATCH = 20_000


def compare(setting: Setting, bodies: int) -> Result:
    """Compare two servers with so many bodies."""
    runs: dict[str, list[Measured]] = {DOWNLOAD: [], SAME: [], DIFFERING: []}
    different = min(DIFFERENT, bodies - 1)
    with setting.source(partial(_fill, count=bodies)) as source, setting.copy_of(source) as copy:
        arguments = {"source": source.server.url, "copy": copy.url, "root": source.root}
        for way, _ in setting.turns([DOWNLOAD, SAME]):
            took = setting.measured(download if way == DOWNLOAD else compared, **arguments)
            if way == SAME and took.told["different"]:
                raise RuntimeError("the servers differ from the beginning")
            runs[way].append(took)
        moved = [FIRST + 2 * number for number in range(different)]
        _post(copy, source.root, "mappings", mapping_ops({FIRST - 2: moved}, 0))
        for way, _ in setting.turns([DIFFERING]):
            took = setting.measured(compared, **arguments)
            if took.told["different"] != different:
                raise RuntimeError(f"{took.told['different']:.0f} supervoxels differ, not {different}")
            runs[way].append(took)
    return Result("compare", bodies, [Way.of(name, bodies, each) for name, each in runs.items()])


def download(source: str, copy: str, root: str) -> dict[str, float]:
    """What both servers need, read side by side and thrown away."""
    with _pair(source, copy, root) as pair:
        for endpoint, query in (("mappings", {"format": "binary"}), ("listlabels", {"sizes": "true"})):

            def read(side: DvidSide, endpoint: str = endpoint, query: dict[str, str] = query) -> None:
                path = node_path(side.version, side.name, endpoint)
                with side.client.stream(path, query=dict(query)) as pieces:
                    for _ in pieces:
                        pass

            side_by_side(read, pair.source, pair.destination)
    return {}


def compared(source: str, copy: str, root: str) -> dict[str, float]:
    """The mapping, and the bodies with their sizes."""
    with _pair(source, copy, root) as pair:
        found, supervoxels = find(MAPPING, pair)
        _, bodies = find(SIZES, pair)
    return {"different": len(found or ()), "supervoxels": supervoxels, "bodies": bodies}


@contextmanager
def _pair(source: str, copy: str, root: str) -> Iterator[ServerPair]:
    with DvidClient(source) as one, DvidClient(copy) as other:
        yield ServerPair(DvidSide(one, root, LABELMAP), DvidSide(other, root, LABELMAP), settled=True)


def _fill(server: DvidServer, root: str, count: int) -> None:
    """Bodies `FIRST` + 2n of two supervoxels, as indices; there are no voxels to them.

    Of each the second supervoxel is mapped, many to one body, as a server syncs each group of a mapping.
    """
    for start in range(0, count, _BATCH):
        bodies = [FIRST + 2 * number for number in range(start, min(start + _BATCH, count))]
        indices = wire.LabelIndices()
        for body in bodies:
            index = indices.indices.add(label=body)
            counts = index.blocks[body % 4096].counts
            counts[body] = 100 + body % 50
            counts[body + 1] = 10
        _post(server, root, "indices", indices.SerializeToString())
        _post(server, root, "mappings", mapping_ops({bodies[0]: [body + 1 for body in bodies]}, 0))


def _post(server: DvidServer, root: str, endpoint: str, body: bytes) -> None:
    url = f"{server.url}/api/node/{root}/{LABELMAP}/{endpoint}"
    answer = httpx.post(url, content=body, params={"admintoken": server.admin_token}, timeout=600)
    answer.raise_for_status()
