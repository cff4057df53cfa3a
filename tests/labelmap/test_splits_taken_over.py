"""Splits of the source meet what people changed at the destination: a repair does them too, as it takes the
version back to the source's state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from dvid_sandbox.proofreaders.segmentation import RUNS_HEADER, sparse_volume
from dvidsync_dagster.datatypes.labelmap.repair import JOIN, MERGE, SPLIT
from dvidsync_dagster.differences.findings import DifferenceKind
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.proto.labelmap_pb2 import LabelIndex
from dvidsync_dagster.dvid.protobuf import counts_of, mapping_ops, set_counts
from dvidsync_dagster.run.conflict_table import Counts, conflict_table_of
from tests.labelmap.own_edits import Beside
from tests.stage import INSTANCE, stage
from tests.state import contradictions, differences, read_state

# Ids that people took stay taken.
CHILD = "c" * 32

IDS = {DifferenceKind.COUNTER, DifferenceKind.HIGHEST_ID}


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[Beside]:
    with stage(tmp_path) as scene:
        this = Beside(scene, on_conflict="stop")
        scene.merge(10, 11)
        assert not this.stopped()
        yield this


def split(beside: Beside, supervoxel: int, *, at: str = "", version: str = "") -> tuple[int, int]:
    """Off goes half of the voxels; the ids of the halves, first that of the half that goes."""
    url = f"{at or beside.scene.source.url}/api/node/{version or beside.scene.root}/{INSTANCE}"
    volume = httpx.get(f"{url}/sparsevol/{supervoxel}?supervoxels=true").content
    runs = np.frombuffer(volume, "<i4", offset=len(RUNS_HEADER) + 4).reshape(-1, 4)
    part = sparse_volume(runs[: len(runs) // 2])
    answer = httpx.post(f"{url}/split-supervoxel/{supervoxel}?u=amy&app=neu3", content=part)
    answer.raise_for_status()
    return answer.json()["SplitSupervoxel"], answer.json()["RemainSupervoxel"]


def state(beside: Beside, at: str) -> dict[str, Any]:
    server = beside.scene.source if at == "source" else beside.scene.destination
    return read_state(server.url, beside.scene.root, server.admin_token, indices=True, instances=[INSTANCE])


def assert_same(beside: Beside) -> None:
    """Repairs take ids, and sign what they do."""
    source, copy = (state(beside, at) for at in ("source", "destination"))
    assert not contradictions(copy)
    found = [
        each
        for each in differences(source, copy)
        if not any(own in each for own in ("nextlabel", "user and app"))
    ]
    assert found == []


def counts(beside: Beside) -> Counts:
    return conflict_table_of(beside.scene.config(**beside.fields()), "copy").counts()


def work_at_halves(beside: Beside) -> int:
    """A split, one of a half, and halves that go to other bodies; how many operations that is."""
    off, remain = split(beside, 10)
    new = beside.source.cleave(10, off).new
    beside.source.merge(20, new)
    split(beside, off)
    split(beside, remain)
    return 5


@pytest.mark.parametrize("apply", ["replay", "state"])
def test_runs_that_stopped_go_on_after_a_repair(beside: Beside, apply: str) -> None:
    beside.apply = apply
    beside.destination.merge(1, 10)
    operations = work_at_halves(beside)
    assert len(beside.stopped()) == operations
    assert counts(beside) == Counts(open=operations)
    planned = {change.kind: change.count for change in beside.repaired(dry_run=True).changes}
    assert planned[SPLIT] == 3
    done = beside.repaired()
    assert done.after is not None
    assert not done.after.differences
    assert not done.not_repaired or {each.what for each in done.not_repaired} == {"label counter"}
    assert [edit.item for edit in done.own_edits] == ["body 1"]
    assert counts(beside) == Counts(closed=operations)
    assert_same(beside)
    for body in (10, 20):
        beside.source.merge(21, body)
        assert not beside.stopped()
        assert_same(beside)


def test_what_was_left_out_is_done_by_a_repair(beside: Beside) -> None:
    beside.on_conflict = "skip"
    beside.destination.merge(1, 10)
    operations = work_at_halves(beside)
    assert len(beside.follow()) == operations
    beside.repaired(stuck=False)
    assert counts(beside) == Counts(closed=operations)
    beside.source.merge(12, 10)
    assert not beside.follow()
    assert_same(beside)


def test_splits_that_the_log_brings_are_left_to_it(beside: Beside) -> None:
    split(beside, 10)
    beside.destination.merge(1, 12)
    done = beside.repaired(stuck=False)
    assert SPLIT not in {change.kind for change in done.changes}
    assert MERGE not in {change.kind for change in done.changes}
    assert not beside.stopped()
    assert_same(beside)


def test_where_people_took_the_ids_for_others(beside: Beside) -> None:
    assert split(beside, 12, at=beside.scene.destination.url) == split(beside, 10)
    assert beside.stopped()
    planned, done = beside.repaired(dry_run=True), beside.repaired()
    assert {JOIN, SPLIT} <= {change.kind for change in done.changes}
    assert ("body 12", "amy") in {(edit.item, edit.user) for edit in planned.own_edits}
    assert planned.own_edits == done.own_edits
    assert done.after is not None
    assert not done.after.differences
    assert not beside.stopped()
    assert_same(beside)


def test_where_both_split_the_same_supervoxel(beside: Beside) -> None:
    there = beside.scene.destination.url
    split(beside, 12, at=there)
    split(beside, 10, at=there)
    split(beside, 10)
    assert beside.stopped()
    planned, done = beside.repaired(dry_run=True), beside.repaired()
    assert {each.what for each in planned.not_repaired} == {"label counter"}
    assert planned.own_edits == done.own_edits
    assert done.after is not None
    assert {each.kind for each in done.after.differences} <= IDS
    assert_same(beside)


def test_own_splits_are_taken_back_and_followed_again(beside: Beside) -> None:
    """Also where the parts were split again, and are in other bodies."""
    there = beside.scene.destination.url
    split(beside, 30, at=there)
    off, remain = split(beside, 10, at=there)
    split(beside, remain, at=there)
    new = beside.destination.cleave(10, off).new
    beside.destination.merge(20, new)
    beside.destination.cleave(10, remain_of(beside, 10))
    planned, done = beside.repaired(dry_run=True), beside.repaired()
    (joined,) = (change for change in planned.changes if change.kind is JOIN)
    assert joined.count == 2
    assert {"body 10", "body 20", "body 30"} <= {edit.item for edit in planned.own_edits}
    assert planned.own_edits == done.own_edits
    assert {each.what for each in planned.not_repaired} == {"label counter"}
    assert done.after is not None
    assert {each.kind for each in done.after.differences} <= IDS
    assert_same(beside)
    assert not beside.repaired(dry_run=True).changes
    split(beside, 30)
    split(beside, 10)
    for body in (10, 20, 30):
        beside.source.merge(21, body)
    assert not beside.stopped()
    assert_same(beside)


def test_a_join_that_was_interrupted_is_finished(beside: Beside) -> None:
    """The index of the whole's body was written, and that of another one not yet."""
    there = beside.scene.destination.url
    off, remain = split(beside, 10, at=there)
    new = beside.destination.cleave(10, off).new
    beside.destination.merge(20, new)
    torn, other = LabelIndex(), LabelIndex()
    for index, body in ((torn, 10), (other, 20)):
        index.ParseFromString(httpx.get(index_url(beside, body)).raise_for_status().content)
    moved = {block.key: counts_of(block).get(off, 0) for block in other.blocks}
    for key in moved.keys() - {block.key for block in torn.blocks}:
        torn.blocks.add(key=key)
    for block in torn.blocks:
        kept = counts_of(block)
        own = kept.pop(remain, 0) + moved.get(block.key, 0)
        set_counts(block, {**kept, 10: own} if own else kept)
    httpx.post(index_url(beside, 10), content=torn.SerializeToString()).raise_for_status()
    done = beside.repaired()
    assert JOIN in {change.kind for change in done.changes}
    assert_same(beside)


def test_a_server_that_was_killed_while_it_mapped_the_whole(beside: Beside) -> None:
    """It has mapped the whole, and the parts are still mapped too."""
    there = beside.scene.destination.url
    parts = split(beside, 10, at=there)
    beside.repaired()
    url = f"{there}/api/node/{beside.scene.root}/{INSTANCE}/mappings"
    httpx.post(url, content=mapping_ops({10: parts}, 1)).raise_for_status()
    done = beside.repaired()
    assert [change.count for change in done.changes if change.kind is JOIN] == [1]
    assert not [each for each in done.not_repaired if "supervoxels" in each.what]
    assert_same(beside)
    assert not beside.repaired(dry_run=True).changes


def test_what_was_joined_and_is_split_again_in_a_child(beside: Beside) -> None:
    there, root = beside.scene.destination.url, beside.scene.root
    split(beside, 10, at=there)
    beside.repaired()
    node = f"{beside.scene.source.url}/api/node/{root}"
    httpx.post(f"{node}/commit", json={"note": "done"}).raise_for_status()
    httpx.post(f"{node}/newversion", json={"note": "", "uuid": CHILD}).raise_for_status()
    assert not beside.stopped()
    split(beside, 10, at=there, version=CHILD)
    done = beside.repaired(version=CHILD)
    assert [change.count for change in done.changes if change.kind is JOIN] == [1]
    assert done.after is not None
    assert {each.kind for each in done.after.differences} <= IDS
    assert_same(beside)


def test_a_child_whose_index_still_lists_what_was_joined_in_its_parent(
    beside: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the parent's mapping, and an index of its own."""
    there, root = beside.scene.destination.url, beside.scene.root
    split(beside, 10, at=there)
    node = f"{beside.scene.source.url}/api/node/{root}"
    httpx.post(f"{node}/commit", json={"note": "done"}).raise_for_status()
    httpx.post(f"{node}/newversion", json={"note": "", "uuid": CHILD}).raise_for_status()
    assert not beside.stopped()
    url = f"{there}/api/node/{CHILD}/{INSTANCE}/merge?u=trainee"
    httpx.post(url, json=[10, 20]).raise_for_status()
    monkeypatch.setenv("TOKEN", beside.scene.destination.admin_token)
    fields = beside.fields()
    fields["destinations"][0]["admin_token_env"] = "TOKEN"
    monkeypatch.setattr(beside, "fields", lambda: fields)
    for version in (root, CHILD):
        done = beside.repaired(version=version)
        assert [change.count for change in done.changes if change.kind is JOIN] == [1]
    assert_same(beside)
    assert not beside.repaired(dry_run=True, version=CHILD).changes


@pytest.mark.parametrize("request_of_voxels", ["blocks", "put_blocks"])
def test_a_part_that_people_move_while_it_is_joined(
    beside: Beside, monkeypatch: pytest.MonkeyPatch, request_of_voxels: str
) -> None:
    off, _ = split(beside, 10, at=beside.scene.destination.url)
    asked = getattr(Labelmap, request_of_voxels)
    moved: list[int] = []

    def work(labelmap: Labelmap, *args: Any, **options: Any) -> Any:
        answer = asked(labelmap, *args, **options)
        if not moved:
            moved.append(beside.destination.cleave(10, off).new)
        return answer

    monkeypatch.setattr(Labelmap, request_of_voxels, work)
    done = beside.repaired()
    (left,) = [each for each in done.not_repaired if "meanwhile" in each.why]
    assert "supervoxel 10 " in left.why
    assert JOIN not in {change.kind for change in done.changes}
    assert not done.agree
    assert JOIN in {change.kind for change in beside.repaired().changes}
    assert_same(beside)


def index_url(beside: Beside, body: int) -> str:
    return f"{beside.scene.destination.url}/api/node/{beside.scene.root}/{INSTANCE}/index/{body}"


def remain_of(beside: Beside, body: int) -> int:
    """A part of a supervoxel that people split there."""
    url = f"{beside.scene.destination.url}/api/node/{beside.scene.root}/{INSTANCE}/supervoxels/{body}"
    return max(int(each) for each in httpx.get(url).json())
