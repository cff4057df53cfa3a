"""Whether two servers hold the same bodies: sizes, supervoxels, counters, versions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dvidsync_dagster.dvid.client import DvidClient, node_path
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.repo import RepoInfo, read_repo_info

Pairs = npt.NDArray[np.uint64]


def compare(source_url: str, copy_url: str, root: str) -> tuple[list[str], list[str]]:
    """What agrees, and what differs, a line each."""
    agree: list[str] = []
    differ: list[str] = []
    with DvidClient(source_url) as source, DvidClient(copy_url) as copy:
        repo = read_repo_info(source, root)
        versions, others = _versions(repo), _versions(read_repo_info(copy, root))
        (agree if versions == others else differ).append(f"{len(versions)} versions")
        for version in repo.versions:
            if version not in others:
                continue
            for name, instance in repo.instances.items():
                if instance.typename != "labelmap":
                    continue
                one, other = (_labels(client, version, name) for client in (source, copy))
                line = f"{name} of {version[:8]}: {len(one[0]):,} bodies, {len(one[1]):,} mapped supervoxels"
                same = all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
                (agree if same else differ).append(line)
        for name, instance in repo.instances.items():
            if instance.typename == "labelmap":
                ids = [Labelmap(client, name).next_label(root) for client in (source, copy)]
                (agree if ids[0] == ids[1] else differ).append(f"{name}: next label {ids[0]:,}")
    return agree, differ


def _versions(repo: RepoInfo) -> dict[str, tuple[object, ...]]:
    return {
        uuid: (version.parents, version.branch, version.locked, version.note)
        for uuid, version in repo.versions.items()
    }


def _labels(client: DvidClient, version: str, name: str) -> tuple[Pairs, Pairs]:
    sizes = client.read(node_path(version, name, "listlabels"), query={"sizes": "true"})
    mapped = client.read(node_path(version, name, "mappings"), query={"format": "binary"})
    pairs = np.frombuffer(mapped, "<u8").reshape(-1, 2)
    pairs = pairs[pairs[:, 1] != 0]
    return np.frombuffer(sizes, "<u8").reshape(-1, 2), pairs[np.argsort(pairs[:, 0])]
