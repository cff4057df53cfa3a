"""Sparse volumes and times."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvidsync_dagster.dvid import sparsevol
from dvidsync_dagster.dvid.times import go_time, json_time, line_time
from dvidsync_dagster.errors import ServerFailed

SIZE = 8
VOLUMES = st.binary(min_size=SIZE**3 // 8, max_size=SIZE**3 // 8).map(
    lambda content: np.unpackbits(np.frombuffer(content, np.uint8)).reshape(SIZE, SIZE, SIZE).astype(bool)
)


def runs_of(volume: np.ndarray) -> sparsevol.Runs:
    found = []
    for z, y in np.ndindex(SIZE, SIZE):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], volume[z, y].astype(np.int8), [0]])))
        found += [(start, y, z, end - start) for start, end in edges.reshape(-1, 2)]
    return np.array(found, np.int32).reshape(-1, 4)


def volume_of(runs: sparsevol.Runs) -> np.ndarray:
    volume = np.zeros((SIZE, SIZE, SIZE), bool)
    for x, y, z, length in runs:
        volume[z, y, x : x + length] = True
    return volume


@given(VOLUMES, VOLUMES)
def test_intersect_is_that_of_the_voxels(one: np.ndarray, other: np.ndarray) -> None:
    both = sparsevol.intersect(runs_of(one), runs_of(other))
    assert np.array_equal(volume_of(both), one & other)
    assert sparsevol.voxels(both) == int((one & other).sum())


@given(VOLUMES)
def test_a_request_body_is_read_back(volume: np.ndarray) -> None:
    runs = runs_of(volume)
    body = sparsevol.request_body(runs)
    assert np.array_equal(sparsevol.parse_runs(body, "here", header=True), runs)
    assert int.from_bytes(body[8:12], "little") == len(runs)


@pytest.mark.parametrize("content", [b"x", bytes(17), np.array([0, 0, 0, -1], "<i4").tobytes()])
def test_bytes_that_are_no_runs(content: bytes) -> None:
    with pytest.raises(ServerFailed, match="here"):
        sparsevol.parse_runs(content, "here", header=False)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1970-01-01 00:00:01.5 +0000 UTC m=+5.39", 1_500_000_000),
        ("1970-01-01 02:00:00 +0200 CEST", 0),
        ("1970-01-01 00:00:00.000000001 -0030 X", 1_800_000_000_001),
    ],
)
def test_go_time(text: str, moment: int) -> None:
    assert go_time(text) == moment


def test_what_is_no_time() -> None:
    with pytest.raises(ValueError, match="no time"):
        go_time("yesterday")


SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("1970-01-01T01:00:00.000000001+00:30", 1_800_000_000_001),
        ("2262-04-11T23:47:16Z", 9223372036 * SECOND),
    ],
)
def test_json_time(text: str, moment: int) -> None:
    assert json_time(text) == moment
    assert line_time(text) == moment // SECOND * SECOND


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "0000-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "2262-04-11T23:47:17Z",
        "9999-12-31T23:59:59-14:00",
        "10000-01-01T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-01-01T00:00:00+99:99",
        "2026-01-01T00:00:00",
        "",
        "x",
    ],
)
def test_a_time_that_no_table_holds_is_none(text: str) -> None:
    assert json_time(text) == 0
    assert line_time(text) == 0


def test_what_is_no_text_is_no_time() -> None:
    assert json_time(None) == json_time(5) == 0
