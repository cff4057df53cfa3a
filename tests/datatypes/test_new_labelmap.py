"""A labelmap that is made after the copy: nothing of it is at the destination when its work is planned."""

from __future__ import annotations

import numpy as np
import pytest

from dvid_sandbox.launcher import SandboxServer
from dvidsync_dagster.errors import Conflict
from tests.datatypes.source_and_destination import SourceAndDestination

NEW = "agglomeration"


def next_label(scene: SourceAndDestination, server: SandboxServer) -> int:
    return int(scene.request("GET", f"{NEW}/nextlabel", server=server).json()["nextlabel"])


def ingest(scene: SourceAndDestination, server: SandboxServer) -> None:
    """Bodies 1 to 4, of which no message tells."""
    volume = 1 + np.arange(64**3, dtype="<u8") // (16 * 64**2)
    scene.post(f"{NEW}/raw/0_1_2/64_64_64/0_0_0", body=volume.tobytes(), server=server)


def make(scene: SourceAndDestination) -> None:
    scene.new_instance(NEW, "labelmap", MaxDownresLevel="0")


def test_it_is_made_and_its_counter_follows(scene: SourceAndDestination) -> None:
    make(scene)
    scene.post(f"{NEW}/nextlabel/5")
    scene.post("segmentation/merge", json=[1, 2])
    scene.sync()
    assert next_label(scene, scene.destination) == next_label(scene, scene.source) == 6
    scene.post(f"{NEW}/nextlabel/2")
    scene.sync()
    assert next_label(scene, scene.destination) == next_label(scene, scene.source) == 8
    scene.assert_same()


def test_it_is_made_in_a_chunk_that_is_looked_at(scene: SourceAndDestination) -> None:
    scene.sync()
    make(scene)
    scene.post(f"{NEW}/nextlabel/5")
    scene.checkpoint = None
    scene.sync()
    assert next_label(scene, scene.destination) == next_label(scene, scene.source) == 6


def test_its_work_waits_for_its_voxels_and_is_then_exact(scene: SourceAndDestination) -> None:
    """No message tells of voxels. Once they are copied, the run goes on where it stopped."""
    make(scene)
    ingest(scene, scene.source)
    scene.post(f"{NEW}/merge", json=[1, 2])
    scene.post(f"{NEW}/cleave/1", json=[2])
    scene.post(f"{NEW}/nextlabel/5")
    for _ in range(2):
        with pytest.raises(Conflict, match="merge"):
            scene.sync()
    ingest(scene, scene.destination)
    scene.sync()
    assert next_label(scene, scene.destination) == next_label(scene, scene.source) == 11
    scene.assert_same()


def test_what_skips_conflicts_goes_on_without_it(scene: SourceAndDestination) -> None:
    make(scene)
    ingest(scene, scene.source)
    scene.post(f"{NEW}/merge", json=[1, 2])
    scene.post(f"{NEW}/cleave/1", json=[2])
    scene.post("segmentation/merge", json=[1, 2])
    scene.post(scene.key("segmentation_annotations", "after"), body=b"it")
    reports = scene.sync(changed={"on_conflict": "skip"})
    assert [row.action for report in reports for row in report.conflicts] == ["merge", "cleave"]
    assert scene.value("segmentation_annotations", "after") == b"it"
    assert next_label(scene, scene.destination) == next_label(scene, scene.source)
