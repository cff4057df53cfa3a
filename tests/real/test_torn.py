"""What a killed DVID leaves of an operation, made by hand on a real server, and mended."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
import orjson
import pytest

from dvid_sandbox.real_server import RealServer
from dvidsync_dagster.datatypes.labelmap.counter_rule import CounterState
from dvidsync_dagster.datatypes.labelmap.events import Merge, Split, SplitSupervoxel
from dvidsync_dagster.datatypes.labelmap.server.bodies import Bodies
from dvidsync_dagster.datatypes.labelmap.server.counter import LabelCounter
from dvidsync_dagster.datatypes.labelmap.server.repeating import command_of
from dvidsync_dagster.datatypes.labelmap.server.seen import Contact, look_at_bodies
from dvidsync_dagster.datatypes.labelmap.server.writer import LabelmapWriter
from dvidsync_dagster.datatypes.labelmap.source_counter import SourceCounter
from dvidsync_dagster.dvid import sparsevol
from dvidsync_dagster.dvid.http import DvidClient
from dvidsync_dagster.dvid.label_blocks import LabelBlock
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.repo import make_instance
from dvidsync_dagster.events.origin import Origin
from dvidsync_dagster.plan.outcome import DONE

pytestmark = pytest.mark.dvid

SIZE = (192, 128, 64)
SCALES = (0, 1, 2)
POINTS = [(x, y, 0) for x in range(3) for y in range(2)]
RUNS = np.array([(x, y, z, 13) for z in range(20, 50) for y in range(30, 90) for x in (40, 90)], "<i4")
SIGNED = {"user": "ann", "app": "neu3+dvidsync@77"}


@dataclass
class LabelmapRepo:
    """A repo; its labelmaps have four supervoxels spread over six blocks, 1 and 2 in one body."""

    client: DvidClient
    root: str
    notes: list[str] = field(default_factory=list)

    def labelmap(self, name: str) -> Labelmap:
        settings = {"typename": "labelmap", "dataname": name, "MaxDownresLevel": str(SCALES[-1])}
        make_instance(self.client, self.root, settings)
        labels = np.ones(SIZE[::-1], "<u8")
        labels[:, :, 150:], labels[:, 100:], labels[55:] = 2, 3, 4
        path = f"/api/node/{self.root}/{name}/raw/0_1_2/{_box(0)}/0_0_0"
        self.client.change("POST", path, body=labels.tobytes())
        labelmap = Labelmap(self.client, name)
        while sum(labelmap.sizes(self.root, [1, 2, 3, 4])) < labels.size:
            pass  # the server indexes behind its answer
        labelmap.merge(self.root, 1, [2], user="ann", app="neu3")
        return labelmap

    def split(self, labelmap: Labelmap) -> None:
        labelmap.split_supervoxel(self.root, 1, 11, 12, sparsevol.request_body(RUNS), **SIGNED)

    def writer(self, labelmap: Labelmap) -> LabelmapWriter:
        counter = LabelCounter(
            labelmap,
            SourceCounter(labelmap, self.root),
            CounterState(labelmap.next_label(self.root), was_set=False),
            self.notes.append,
        )
        return LabelmapWriter(
            Bodies(
                source=labelmap,
                destination=labelmap,
                counter=counter,
                shows=lambda _: False,
                note=self.notes.append,
                pool=ThreadPoolExecutor(1),
            )
        )

    def announced(self, labelmap: Labelmap) -> SplitSupervoxel:
        return SplitSupervoxel(**self.common(labelmap), supervoxel=1, body=1, split=11, remain=12)

    def announced_of_body(self, labelmap: Labelmap) -> Split:
        return Split(**self.common(labelmap), target=1, new=10, parts=((1, 11, 12),))

    def state(self, labelmap: Labelmap) -> dict[str, object]:
        """The voxels at every resolution, the body's index, and the mapping."""
        index = labelmap.index(self.root, 1)
        found: dict[str, object] = {
            "mapping": labelmap.mapping(self.root, [1, 2, 11, 12]),
            "index": {block.key: {e.key: e.value for e in block.value.counts} for block in index.blocks},
            "last": (index.last_mod_user, index.last_mod_app),
        }
        for scale in SCALES:
            path = f"/api/node/{self.root}/{labelmap.name}/raw/0_1_2/{_box(scale)}/0_0_0"
            for kind in ("true", "false"):
                found[f"{kind} {scale}"] = self.client.read(path, query={"scale": scale, "supervoxels": kind})
        return found

    def blocks(self, labelmap: Labelmap, scale: int) -> list[LabelBlock]:
        points = {(x >> scale, y >> scale, z >> scale) for x, y, z in POINTS}
        return labelmap.blocks(self.root, sorted(points), scale)

    def put_blocks(self, labelmap: Labelmap, scale: int, blocks: list[LabelBlock]) -> None:
        path = f"/api/node/{self.root}/{labelmap.name}/ingest-supervoxels"
        content = b"".join(block.encoded() for block in blocks)
        self.client.change("POST", path, query={"scale": scale}, body=content)

    def common(self, labelmap: Labelmap) -> dict[str, Any]:
        path = f"/api/node/{self.root}/{labelmap.name}/blobstore"
        blob = self.client.change_json("POST", path, "reference", body=RUNS.tobytes())["reference"]
        return {
            "origin": Origin(1, "topic", 0, 1),
            "instance": labelmap.name,
            "version": self.root,
            "mutation_id": 77,
            "user": "ann",
            "app": "neu3",
            "volume": blob,
        }


def _box(scale: int) -> str:
    return "_".join(str(each >> scale) for each in SIZE)


@pytest.fixture
def scene(real_dvid: RealServer) -> Iterator[LabelmapRepo]:
    about = orjson.dumps({"alias": "torn", "description": "torn"})
    answer = httpx.post(
        f"{real_dvid.url}/api/repos", params={"admintoken": real_dvid.admin_token}, content=about
    )
    with DvidClient(real_dvid.url) as client:
        yield LabelmapRepo(client, answer.json()["root"])


def tear(scene: LabelmapRepo, torn: Labelmap, clean: Labelmap, at: str) -> None:
    """Leave the split in `torn` as DVID does if it is killed there; `clean` has it done."""
    if at == "some voxels":
        scene.put_blocks(torn, 0, scene.blocks(clean, 0)[::2])
        return
    lower = {scale: scene.blocks(torn, scale) for scale in SCALES[1:]}
    index = torn.index(scene.root, 1)
    scene.split(torn)
    for scale in SCALES[2:] if at == "the second resolution" else SCALES[1:]:
        scene.put_blocks(torn, scale, lower[scale])
    if at == "the mapping":
        torn.put_index(scene.root, index)


@pytest.mark.parametrize("at", ["some voxels", "the mapping", "the index", "the second resolution"])
def test_a_supervoxel_split_torn_after(scene: LabelmapRepo, at: str) -> None:
    torn, clean = scene.labelmap("torn"), scene.labelmap("clean")
    scene.split(clean)
    tear(scene, torn, clean, at)
    assert scene.state(torn) != scene.state(clean)
    event, writer = scene.announced(torn), scene.writer(torn)
    if at in ("some voxels", "the mapping"):
        # Its body does not carry the tag, so it is repeated, and refused.
        assert writer.carry_out(command_of(event)) == DONE
    else:
        assert writer.mend_if_torn(event)
    assert scene.state(torn) == scene.state(clean)
    assert not writer.mend_if_torn(event)
    assert len(scene.notes) == 1


@pytest.mark.parametrize("at", ["some voxels", "the mapping", "the index", "the second resolution"])
def test_a_split_of_a_body_torn_in_its_supervoxel_after(scene: LabelmapRepo, at: str) -> None:
    torn, clean = scene.labelmap("torn"), scene.labelmap("clean")
    event = scene.announced_of_body(torn)
    scene.split(clean)
    tear(scene, torn, clean, at)
    clean.cleave(scene.root, 1, [11], **SIGNED)
    clean.renumber(scene.root, 10, 13, **SIGNED)
    assert scene.writer(torn).carry_out(command_of(event)) == DONE
    assert scene.state(torn) == scene.state(clean)


@pytest.mark.parametrize("given", [10, 20], ids=["with its label", "with another label"])
def test_a_split_of_a_body_torn_in_its_cleave(scene: LabelmapRepo, given: int) -> None:
    """Both indices are new, the mapping is old."""
    torn, clean = scene.labelmap("torn"), scene.labelmap("clean")
    event = scene.announced_of_body(torn)
    for labelmap in (torn, clean):
        scene.split(labelmap)
        labelmap.reserve(scene.root, 10)
        got = labelmap.cleave(scene.root, 1, [11], **SIGNED)
        assert got == 23
        if labelmap is clean or given == 10:
            labelmap.renumber(scene.root, 10, got, **SIGNED)
    torn.map_supervoxels(scene.root, {1: [11]})
    writer = scene.writer(torn)
    assert writer.mend_if_torn(event) if given == 10 else writer.carry_out(command_of(event)) == DONE
    assert torn.mapping(scene.root, [11, 12, 2]) == [10, 1, 1]
    assert torn.supervoxels(scene.root, 10) == [11]
    assert scene.state(torn) == scene.state(clean)


def test_a_cleaves_renumber_torn_after_its_mapping(scene: LabelmapRepo) -> None:
    """The mapping names the label that the source gave; the index still has the one that the copy gave."""
    torn = scene.labelmap("torn")
    event = scene.announced_of_body(torn)
    scene.split(torn)
    got = torn.cleave(scene.root, 1, [11], **SIGNED)
    torn.map_supervoxels(scene.root, {10: [11]})
    assert scene.writer(torn).carry_out(command_of(event)) == DONE
    assert torn.supervoxels(scene.root, 10) == [11]
    assert torn.supervoxels(scene.root, got) is None
    assert torn.mapping(scene.root, [11]) == [10]


def test_a_merge_torn_between_the_indices_of_what_it_merged(scene: LabelmapRepo) -> None:
    """Of two labels that were merged one is gone, the other's index is still there."""
    torn = scene.labelmap("torn")
    left = torn.index(scene.root, 4)
    torn.merge(scene.root, 1, [3, 4], **SIGNED)
    torn.put_index(scene.root, left)
    common = {name: value for name, value in scene.common(torn).items() if name != "volume"}
    assert scene.writer(torn).carry_out(command_of(Merge(**common, target=1, labels=(3, 4)))) == DONE
    assert torn.supervoxels(scene.root, 4) is None
    assert sorted(torn.supervoxels(scene.root, 1) or ()) == [1, 2, 3, 4]


def test_a_split_without_its_cleave_is_not_taken_for_one_that_was_merged_back(scene: LabelmapRepo) -> None:
    """Its label was another body's for a moment."""
    torn = scene.labelmap("torn")
    event = scene.announced_of_body(torn)
    torn.map_supervoxels(scene.root, {0: [10]})
    scene.split(torn)
    with ThreadPoolExecutor(2) as pool:
        assert not look_at_bodies([event], torn, pool, Contact(0)).left
