"""Repo operations of a source, followed by a copy."""

from __future__ import annotations

import pytest

from tests.datatypes.source_and_destination import SourceAndDestination

KEYS = "segmentation_annotations"


@pytest.mark.parametrize("on_conflict", ["stop", "skip"])
def test_a_log_of_no_lines_stops_nothing(scene: SourceAndDestination, on_conflict: str) -> None:
    """DVID announces a post of no lines, even one that it refuses."""
    scene.sync()
    scene.post("log", json={"log": []})
    scene.post("log", json={"log": ["a line"]})
    scene.post(scene.key(KEYS, "after"), body=b"it")
    scene.sync(changed={"on_conflict": on_conflict})
    assert scene.value(KEYS, "after") == b"it"
    scene.assert_same()
