"""How far a run is, in words."""

from __future__ import annotations

import pytest

from dvidsync_dagster.run.progress import Progress


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (
            Progress(records=40_000, operations=3_200, seconds=20, left=60_000),
            "so far 40,000 records and 3,200 operations in 0:00:20, 2,000 records a second; "
            "60,000 records left, about 0:00:30",
        ),
        (
            Progress(records=500, operations=0, seconds=0.5, left=0),
            "so far 500 records and 0 operations in 0:00:00, 1,000 records a second",
        ),
        (
            Progress(records=0, operations=0, seconds=3, left=70),
            "so far 0 records and 0 operations in 0:00:03, 0 records a second",
        ),
        (
            Progress(records=0, operations=0, seconds=0, left=70),
            "so far 0 records and 0 operations in 0:00:00, 0 records a second",
        ),
    ],
    ids=["under way", "at the end", "nothing read yet", "just begun"],
)
def test_what_is_said(progress: Progress, text: str) -> None:
    assert str(progress) == text
