"""What a copy's own list of events says of merges, under each `history`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.datatypes.source_and_destination import SourceAndDestination

LABELS = "segmentation"

Line = tuple[str, int, tuple[int, ...]]
WORK: list[Line] = [
    ("alice", 1, (2,)),
    ("alice", 1, (3,)),
    ("bob", 1, (4,)),
    ("bob", 10, (11,)),
    ("bob", 1, (10,)),
    ("alice", 20, (21,)),
    ("carol", 20, (22,)),
]
"""Who merged what into which body."""

KEPT: dict[str, list[Line]] = {
    "exact": WORK,
    "by_user": [
        ("alice", 1, (2, 3)),
        ("alice", 20, (21,)),
        ("bob", 1, (4, 10, 11)),
        ("carol", 20, (22,)),
    ],
    "condensed": [("bob", 1, (2, 3, 4, 10, 11)), ("carol", 20, (21, 22))],
}


def lines(scene: SourceAndDestination) -> list[Line]:
    """The copy's list: user, target and labels of each merge."""
    answer = scene.request("GET", f"{LABELS}/mutations", server=scene.destination)
    found: list[dict[str, Any]] = json.loads(answer.raise_for_status().content)
    return sorted((line["User"], line["Target"], tuple(sorted(line["Labels"]))) for line in found)


@pytest.mark.parametrize("history", KEPT)
def test_each_merge_stands_for_whom_it_says(scene: SourceAndDestination, history: str) -> None:
    """By default no merge of one user ends under another's name."""
    for user, target, labels in WORK:
        scene.post(f"{LABELS}/merge", json=[target, *labels], user=user)
    scene.await_messages(2 * len(WORK))
    reports = scene.sync(changed={"history": history})
    scene.assert_same()
    assert lines(scene) == sorted(KEPT[history])
    assert sum(report.requests for report in reports) == len(KEPT[history])
    assert sum(report.operations for report in reports) == len(WORK)
