"""Whether a copy of a neuron has a field that the source cannot have written."""

from __future__ import annotations

from typing import Any

import pytest

from dvidsync_dagster.datatypes.neuronjson.stamps import made_elsewhere, stamps

SECOND = 1_000_000_000
NOON = 1_764_331_200
"""2025-11-28T12:00:00Z"""


def written(second: int, user: str = "trainee") -> dict[str, Any]:
    time = f"2025-11-28T{12 + second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"
    return {"bodyid": 1, "class": "own", "class_user": user, "class_time": time}


def times(*seconds: float) -> list[int]:
    return [int((NOON + second) * SECOND) for second in seconds]


@pytest.mark.parametrize(
    ("at", "source", "is_peoples"),
    [
        (100, [], True),
        (100, [50, 150], True),
        (100, [100.9], False),
        (100, [94.5, 103], True),
        (100, [98], False),
        (100, [94, 101.5], False),
        (10, [], False),
        (200, [], True),
        (201, [], False),
    ],
    ids=[
        "the source wrote nothing",
        "before and after",
        "in the same second",
        "too early and too late",
        "before the write",
        "just before the message",
        "before the copy was made",
        "at the end of what was told",
        "later than what was told",
    ],
)
def test_a_field_is_peoples_if_the_source_wrote_nothing_then(
    at: int, source: list[float], is_peoples: bool
) -> None:
    since, until = times(10, 200)
    assert made_elsewhere(written(at), {}, times(*source), since, until) is is_peoples


def test_what_the_source_has_with_the_same_stamp_is_its_own() -> None:
    since, until = times(0, 200)
    assert not made_elsewhere(written(100), written(100), [], since, until)
    assert made_elsewhere(written(100), written(100, "amy"), [], since, until)
    assert made_elsewhere(written(100), written(101), [], since, until)


@pytest.mark.parametrize(
    "time", ["", "noon", "2025-11-28T12:01:00", 12, None, ["2025-11-28"], "0001-01-01T00:00:00Z"]
)
def test_what_is_no_time_shows_nothing(time: object) -> None:
    since, until = times(0, 200)
    assert not made_elsewhere({"class": "own", "class_time": time}, {}, [], since, until)


def test_a_stamp_without_its_field_counts_for_nothing() -> None:
    since, until = times(0, 200)
    gone = {name: value for name, value in written(100).items() if name != "class"}
    assert not list(stamps(gone))
    assert not made_elsewhere(gone, {}, [], since, until)
