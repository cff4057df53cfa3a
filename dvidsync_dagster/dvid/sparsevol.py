"""Sparse volumes as DVID writes them: runs of voxels along x.

A blob holds bare runs (x, y, z, length as int32, little-endian); a request wants a header of 12 bytes before
them: bytes 0, 3, 0, 0, then uint32 0, then the number of runs as uint32.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dvidsync_dagster.errors import ServerFailed

Runs = npt.NDArray[np.int32]
"""Shape (n, 4): x, y, z, length."""

_HEADER = 12
_MAX_LENGTH = 1 << 24


def parse_runs(content: bytes, where: str, *, header: bool) -> Runs:
    """Raises ServerFailed if the bytes are no runs."""
    body = content[_HEADER:] if header else content
    if len(body) % 16 or (header and len(content) < _HEADER):
        raise ServerFailed(where, f"{len(content)} bytes are no sparse volume")
    runs: Runs = np.frombuffer(body, dtype="<i4").reshape(-1, 4)
    if len(runs) and (runs[:, 3].min() < 1 or runs[:, 3].max() > _MAX_LENGTH):
        raise ServerFailed(where, "a sparse volume with a run of impossible length")
    return runs


def request_body(runs: Runs) -> bytes:
    """The runs with the header that a request wants."""
    header = bytes([0, 3, 0, 0]) + bytes(4) + len(runs).to_bytes(4, "little")
    return header + np.ascontiguousarray(runs, dtype="<i4").tobytes()


def intersect(one: Runs, other: Runs) -> Runs:
    """The voxels in both, as runs ordered by z, y, x."""
    rows: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for x, y, z, length in other.tolist():
        rows.setdefault((z, y), []).append((x, x + length))
    for spans in rows.values():
        spans.sort()
    found: list[tuple[int, int, int, int]] = []
    for x, y, z, length in one.tolist():
        for start, end in rows.get((z, y), ()):
            if start >= x + length:
                break
            low, high = max(x, start), min(x + length, end)
            if low < high:
                found.append((z, y, low, high - low))
    found.sort()
    return np.array([(x, y, z, length) for z, y, x, length in found], dtype=np.int32).reshape(-1, 4)


def voxels(runs: Runs) -> int:
    return int(runs[:, 3].astype(np.int64).sum())
