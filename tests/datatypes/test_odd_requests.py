"""Requests that make little sense, that DVID takes and announces: they are repeated like any other."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.datatypes.source_and_destination import SourceAndDestination

LABELS, SYNAPSES = "segmentation", "synapses"

REQUESTS: dict[str, list[tuple[str, Any]]] = {
    "renumber to the background": [(f"{LABELS}/renumber", [0, 8])],
    "merge into the background": [(f"{LABELS}/renumber", [0, 8]), (f"{LABELS}/merge", [0, 5])],
    "a body that was merged before": [(f"{LABELS}/merge", [8, 9]), (f"{LABELS}/renumber", [0, 8])],
    "an element that is null": [(f"{SYNAPSES}/elements", [None])],
    "null among elements": [(f"{SYNAPSES}/elements", [{"Pos": [1, 2, 3], "Kind": "Note"}, None])],
    "elements that are null": [(f"{SYNAPSES}/elements", None)],
    "a block of four numbers": [
        (f"{SYNAPSES}/blocks", {"0,0,0,0": [{"Pos": [1, 2, 3], "Kind": "Note", "Tags": None}]})
    ],
    "a block that is null": [
        (f"{SYNAPSES}/elements", [{"Pos": [1, 2, 3], "Kind": "Note"}]),
        (f"{SYNAPSES}/blocks", {" 0,0,0": None}),
    ],
}


@pytest.mark.parametrize("case", REQUESTS)
def test_an_odd_request_is_repeated_once(scene: SourceAndDestination, case: str) -> None:
    for path, body in REQUESTS[case]:
        content = b"null" if body is None else None
        scene.post(path, json=body, body=content)
    (reports,) = scene.sync()
    assert (reports.conflicts, reports.quarantined) == ((), ())
    scene.assert_same()
    before = tries(scene)
    scene.checkpoint = None
    again = scene.sync()
    assert not any(report.conflicts for report in again)
    assert tries(scene) == before
    scene.assert_same()


def tries(scene: SourceAndDestination) -> int:
    """How many operations on bodies were tried at the copy: its mutation ids."""
    return int(httpx.get(f"{scene.destination.url}/api/repo/{scene.root}/info").json()["MutationID"])
