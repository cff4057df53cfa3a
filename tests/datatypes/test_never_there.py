"""Bodies that the destination never had: a conflict that stays one until it is resolved."""

from __future__ import annotations

import numpy as np
import pytest

from dvidsync_dagster.errors import Conflict
from tests.datatypes.source_and_destination import SourceAndDestination

LABELS = "segmentation"


def ingest(scene: SourceAndDestination) -> None:
    """Voxels of two bodies, 500 and 501, at the source alone: no message tells of them."""
    volume = np.full((64, 64, 64), 500, dtype="<u8")
    volume[:32] = 501
    scene.post(f"{LABELS}/raw/0_1_2/64_64_64/64_0_0", body=volume.tobytes())


@pytest.mark.parametrize("into", [500, 5])
def test_a_run_stops_at_the_same_conflict_each_time(scene: SourceAndDestination, into: int) -> None:
    scene.sync()
    ingest(scene)
    scene.post(f"{LABELS}/merge", json=[into, 501 if into == 500 else 500])
    scene.post(f"{LABELS}/merge", json=[30, 31])
    found = []
    for _ in range(3):
        with pytest.raises(Conflict) as stopped:
            scene.sync()
        found.append(str(stopped.value))
    assert len(set(found)) == 1
    assert "merge" in found[0]
    (row,) = [row for report in scene.sync(changed={"on_conflict": "skip"}) for row in report.conflicts]
    assert row.where in found[0]


def test_bodies_that_the_destination_itself_took_away(scene: SourceAndDestination) -> None:
    """Its own merge is no proof that the source's was made there."""
    scene.sync()
    scene.post(f"{LABELS}/merge", json=[21, 20, 22], server=scene.destination)
    scene.post(f"{LABELS}/merge", json=[22, 20])
    scene.post(f"{LABELS}/merge", json=[30, 31])
    found = set()
    for _ in range(3):
        with pytest.raises(Conflict) as stopped:
            scene.sync()
        found.add(str(stopped.value))
    assert len(found) == 1


def test_what_was_ingested_and_cleaved_since(scene: SourceAndDestination) -> None:
    scene.sync()
    ingest(scene)
    scene.post(f"{LABELS}/merge", json=[500, 501])
    scene.post(f"{LABELS}/merge", json=[5, 500])
    scene.post(f"{LABELS}/cleave/5", json=[501])
    for _ in range(3):
        with pytest.raises(Conflict, match="merge at"):
            scene.sync()
