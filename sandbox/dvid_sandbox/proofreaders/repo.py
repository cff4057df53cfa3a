"""A repo to work on: a segmentation of cubes, and the instances that people edit."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import orjson

from dvid_sandbox.proofreaders.client import Client

INSTANCES = {
    "segmentation": "labelmap",
    "segmentation_annotations": "keyvalue",
    "neurons": "neuronjson",
    "synapses": "annotation",
    "bookmarks": "annotation",
}
"""DVID data types by instance name."""

BLOCK = 64
"""Voxels along each side of a labelmap's block."""

INDEX_SECONDS = 120.0


@dataclass(frozen=True)
class Repo:
    """A repo: its root version, data UUIDs by instance name, and how its labelmap was filled."""

    root: str
    data: dict[str, str]
    size: int
    cube: int


def make_repo(
    url: str,
    admin_token: str | None = None,
    *,
    token: str | None = None,
    alias: str = "sandbox",
    size: int = 128,
    cube: int = 8,
    first_label: int = 1,
    synced: bool = False,
) -> Repo:
    """A new repo with the `INSTANCES`; its first version is open.

    Args:
        url: the server.
        admin_token: which real servers want for a new repo.
        size: voxels along each side of the volume, a multiple of 64.
        cube: voxels along each side of a supervoxel, a divisor of `size`.
        first_label: of the first cube; the others count on, x fastest, then y, then z.
        synced: the synapses follow the segmentation.

    Raises:
        RuntimeError: a request was refused, or the labels were not indexed in time.
    """
    if size % BLOCK or size % cube:
        raise ValueError(f"size {size} must be a multiple of {BLOCK} and of cube {cube}")
    client = Client(url, token=token, admin_token=admin_token)
    try:
        about = orjson.dumps({"alias": alias, "description": alias})
        root = str(orjson.loads(_post(client, "/api/repos", about, admin=True))["root"])
        for name, datatype in INSTANCES.items():
            settings = {"typename": datatype, "dataname": name}
            if datatype == "labelmap":
                settings["MaxDownresLevel"] = "0"
            _post(client, f"/api/repo/{root}/instance", orjson.dumps(settings))
        _fill(client, f"/api/node/{root}/segmentation", size, cube, first_label)
        if synced:
            _post(client, f"/api/node/{root}/synapses/sync", orjson.dumps({"sync": "segmentation"}))
        info = client.read_json(f"/api/repo/{root}/info")
        data = {name: str(each["Base"]["DataUUID"]) for name, each in info["DataInstances"].items()}
        return Repo(root, data, size, cube)
    finally:
        client.close()


def cubes(size: int, cube: int, first_label: int, start: int, depth: int) -> npt.NDArray[np.uint64]:
    """Labels of the planes `start` to `start + depth`: array of shape (depth, size, size), z first."""
    across = size // cube
    z = np.arange(start, start + depth, dtype=np.uint64)[:, None, None] // cube
    y = np.arange(size, dtype=np.uint64)[None, :, None] // cube
    x = np.arange(size, dtype=np.uint64)[None, None, :] // cube
    labels: npt.NDArray[np.uint64] = (z * across + y) * across + x + np.uint64(first_label)
    return labels


def _fill(client: Client, labelmap: str, size: int, cube: int, first_label: int) -> None:
    for start in range(0, size, BLOCK):
        volume = cubes(size, cube, first_label, start, BLOCK).astype("<u8").tobytes()
        _post(client, f"{labelmap}/raw/0_1_2/{size}_{size}_{BLOCK}/0_0_{start}", volume)
    _await_indices(client, labelmap, (size // cube) ** 3, cube**3)


def _await_indices(client: Client, labelmap: str, count: int, voxels: int) -> None:
    """The server indexes labels behind the answer to a POST of voxels."""
    deadline = time.monotonic() + INDEX_SECONDS
    while time.monotonic() < deadline:
        labels = client.read_json(f"{labelmap}/existing-labels") or []
        sizes = client.read_json(f"{labelmap}/sizes", labels) if len(labels) == count else []
        if sizes and all(size == voxels for size in sizes):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{labelmap}: {count} labels were not indexed within {INDEX_SECONDS:.0f} s")


def _post(client: Client, path: str, body: bytes, *, admin: bool = False) -> bytes:
    exchange = client.change("POST", path, body, kind="setup", admin=admin)
    if not exchange.meant:
        raise RuntimeError(str(exchange))
    return exchange.response
