"""Values that are too large to be taken whole."""

from __future__ import annotations

import tracemalloc

from dvidsync_dagster.dvid.patience import MIB
from tests.datatypes.source_and_destination import SourceAndDestination

KEYS = "segmentation_annotations"
SIZE = 48 * MIB


def test_a_large_value_is_never_whole_in_memory(scene: SourceAndDestination) -> None:
    value = bytes(range(256)) * (SIZE // 256)
    scene.post(scene.key(KEYS, "large"), body=value)
    tracemalloc.start()
    try:
        scene.sync()
        assert tracemalloc.get_traced_memory()[1] < SIZE // 2
    finally:
        tracemalloc.stop()
    assert scene.value(KEYS, "large") == value


def test_a_large_value_that_a_committed_version_has(scene: SourceAndDestination) -> None:
    value = b"v" * (SIZE // 4)
    scene.post(scene.key(KEYS, "large"), body=value)
    scene.sync()
    child = scene.new_version()
    scene.sync()
    scene.checkpoint = None
    assert sum(len(report.conflicts) for report in scene.sync()) == 0
    assert scene.value(KEYS, "large", version=child) == value


def test_a_large_value_that_is_gone_or_empty_again(scene: SourceAndDestination) -> None:
    for key in ("gone", "empty"):
        scene.post(scene.key(KEYS, key), body=b"v" * (SIZE // 4))
        scene.sync()
        scene.post(scene.key(KEYS, key), body=b"w" * (SIZE // 4))
    scene.delete(scene.key(KEYS, "gone"))
    scene.post(scene.key(KEYS, "empty"), body=b"")
    scene.sync()
    scene.assert_same()
