"""On real servers: people at the destination change bodies in a version that it follows."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest

from dvid_sandbox.proofreaders.segmentation import RUNS_HEADER, sparse_volume
from dvidsync_dagster.compare.comparison import compare
from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.destinations.protocol import ConflictRow, StoppedAt
from dvidsync_dagster.differences.work import Repair
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.repair.repairing import repair
from dvidsync_dagster.run.conflict_table import Counts, conflict_table_of
from tests.labelmap.own_edits import Worker
from tests.one_run import followed
from tests.real.harness import Stage, stage

pytestmark = [pytest.mark.dvid, pytest.mark.kafka]


def configured(scene: Stage, apply: str = "replay", on_conflict: str = "skip") -> SyncConfig:
    start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(scene.copied_at - 1))
    destination = {
        "name": "copy",
        "url": scene.destination.url,
        "start": {"time": start},
        "on_conflict": on_conflict,
        "apply": apply,
        "practice": {"branch": "practice"},
    }
    fields = {
        "source": {"url": scene.source.url},
        "repo": scene.root,
        "settle_seconds": 0,
        "instances": ["segmentation"],
        "destinations": [destination],
        "quarantine": str(scene.source.folder.with_name("quarantine")),
    }
    return SyncConfig.model_validate(fields)


def follow(
    scene: Stage, checkpoint: Checkpoint | None, apply: str, on_conflict: str = "skip"
) -> tuple[Checkpoint | None, list[ConflictRow]]:
    """Up to the end of what the source has handed over."""
    scene.flush()
    config = configured(scene, apply, on_conflict)
    rows: list[ConflictRow] = []
    waiting = 1
    while waiting:
        for report in followed(config, checkpoint=checkpoint):
            rows += report.conflicts
            checkpoint, waiting = report.checkpoint, report.lag_after.records
    return checkpoint, rows


@pytest.mark.parametrize("apply", ["replay", "state"])
def test_no_operation_lands_on_another_body_than_at_the_source(tmp_path: Path, apply: str) -> None:
    with stage(tmp_path, size=64, cube=16) as scene:
        source = Worker(scene.root, scene.source.url, "amy")
        copy = Worker(scene.root, scene.destination.url, "trainee")
        source.merge(1, 2)
        source.merge(3, 4)
        checkpoint, rows = follow(scene, None, apply)
        assert not rows
        own = copy.cleave(3, 4)
        theirs = source.cleave(1, 2)
        assert own.new == theirs.new
        source.merge(5, theirs.new)
        source.merge(7, 8)
        checkpoint, rows = follow(scene, checkpoint, apply)
        assert len(rows) == 2
        assert all(f"body {own.new} is the destination's own work: trainee" in row.found for row in rows)
        source.merge(6, 5)
        source.merge(9, 10)
        checkpoint, (row,) = follow(scene, checkpoint, apply)
        assert "body 5 is not as at the source" in row.found
        bodies = copy.bodies()
        found = [bodies[each] for each in (1, 3, own.new, 5, 6, 7, 9)]
        assert found == [{1, 2}, {3}, {4}, {5}, {6}, {7, 8}, {9, 10}]


@pytest.mark.parametrize("apply", ["replay", "state"])
def test_so_it_is_where_people_began_before_the_first_run(tmp_path: Path, apply: str) -> None:
    """What the source did between the start and the copy is the source's all the same."""
    with stage(tmp_path, size=64, cube=16) as scene:
        source = Worker(scene.root, scene.source.url, "amy")
        copy = Worker(scene.root, scene.destination.url, "trainee")
        source.merge(1, 2)
        copy.merge(3, 4)
        theirs = source.cleave(1, 2)
        own = copy.cleave(3, 4)
        assert own == replace(theirs, named=(3,), moved=frozenset({4}))
        copy.merge(20, 21)
        source.merge(22, 21)
        source.merge(7, 8)
        checkpoint, rows = follow(scene, None, apply)
        assert sorted(row.action for row in rows) == ["cleave", "merge"]
        source.merge(20, 30)
        checkpoint, (row,) = follow(scene, checkpoint, apply)
        assert "body 20 is the destination's own work: trainee" in row.found
        bodies = copy.bodies()
        found = [bodies[each] for each in (1, 3, own.new, 7, 20, 22, 30)]
        assert found == [{1, 2}, {3}, {4}, {7, 8}, {20, 21}, {22}, {30}]


def test_the_version_goes_back_and_is_followed_again(tmp_path: Path) -> None:
    with stage(tmp_path, size=64, cube=16) as scene:
        config = configured(scene)
        source, copy, checkpoint = both_at_work(scene)
        checkpoint, rows = follow(scene, checkpoint, "replay")
        assert len(rows) == 2
        planned, done = (repaired(scene, config, checkpoint, dry_run=dry_run) for dry_run in (True, False))
        edits = {(edit.item, edit.user) for edit in planned.own_edits}
        assert {("body 1", "trainee"), ("body 3", "trainee")} <= edits
        assert edits == {(edit.item, edit.user) for edit in done.own_edits}
        assert done.agree
        assert (planned.conflicts, done.conflicts) == (2, 2)
        assert conflict_table_of(config, "copy").counts() == Counts(open=0, closed=2)
        for target, label in ((1, 12), (11, 13), (3, 14)):
            source.merge(target, label)
        _, rows = follow(scene, checkpoint, "replay")
        assert not rows
        assert copy.bodies() == source.bodies()


def test_a_dry_run_tells_of_what_lies_under_records_that_are_still_to_come(tmp_path: Path) -> None:
    with stage(tmp_path, size=64, cube=16) as scene:
        config = configured(scene)
        source, copy, checkpoint = both_at_work(scene)
        source.merge(20, 21)
        scene.flush()
        foreseen = repaired(scene, config, checkpoint, dry_run=True)
        assert {("body 1", "trainee"), ("body 3", "trainee")} <= {
            (edit.item, edit.user) for edit in foreseen.own_edits
        }
        assert not foreseen.agree
        assert foreseen.pending, "the merge of 20 and 21 is left to the log"
        checkpoint, rows = follow(scene, checkpoint, "replay")
        assert len(rows) == 2
        done = repaired(scene, config, checkpoint, dry_run=False)
        assert foreseen.own_edits == done.own_edits
        assert done.agree
        assert copy.bodies() == source.bodies()


def both_at_work(scene: Stage) -> tuple[Worker, Worker, Checkpoint | None]:
    """At the same bodies, after a run: the source's, the trainee, and the run's checkpoint."""
    source = Worker(scene.root, scene.source.url, "amy")
    copy = Worker(scene.root, scene.destination.url, "trainee")
    source.merge(3, 4)
    checkpoint, _ = follow(scene, None, "replay")
    copy.merge(1, 10)
    copy.cleave(3, 4)
    source.merge(11, 10)
    source.merge(3, 9)
    return source, copy, checkpoint


def repaired(scene: Stage, config: SyncConfig, checkpoint: Checkpoint | None, *, dry_run: bool) -> Repair:
    return repair(
        config,
        config.destinations[0],
        checkpoint=checkpoint,
        dry_run=dry_run,
        version=scene.root[:8],
        still_owner=lambda: None,
    )


@pytest.mark.parametrize("committed", [False, True])
def test_own_splits_are_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, committed: bool) -> None:
    """Voxels at all resolutions, indices and mapping are the source's again, and stay so after a restart."""
    with stage(tmp_path, size=64, cube=16) as scene:
        monkeypatch.setenv("OWN_EDITS_ADMIN", scene.destination.admin_token)
        config = configured(scene)
        source = Worker(scene.root, scene.source.url, "amy")
        copy = Worker(scene.root, scene.destination.url, "trainee")
        source.merge(3, 4)
        checkpoint, _ = follow(scene, None, "replay")
        split(scene, 12, thin=True)
        off, remain = split(scene, 3)
        split(scene, remain)
        copy.merge(20, copy.cleave(3, off).new)
        if committed:
            for server in (scene.source, scene.destination):
                answer = httpx.post(f"{server.url}/api/node/{scene.root}/commit", json={"note": "done"})
                answer.raise_for_status()
        destination = config.destinations[0].model_copy(
            update={"admin_token_env": "OWN_EDITS_ADMIN" if committed else None}
        )
        config = config.model_copy(update={"destinations": [destination]})
        planned, done = (repaired(scene, config, checkpoint, dry_run=dry_run) for dry_run in (True, False))
        assert {"body 3", "body 12", "body 20"} <= {edit.item for edit in planned.own_edits}
        assert planned.own_edits == done.own_edits
        assert not planned.not_repaired
        assert done.agree, done.after
        for _ in range(2):
            found = compare(config, destination, versions=[scene.root], lower_scales=True)
            assert not [row for row in found.differences if not row.ahead], found.differences
            left = scene.differences(instances=["segmentation"], next_labels=False)
            assert not [line for line in left if "user" not in line and "maxlabel" not in line], left
            scene.destination.restart()
        if not committed:
            split(scene, 12, at_source=True)
            source.merge(3, 12)
            _, rows = follow(scene, checkpoint, "replay")
            assert not rows
            assert copy.bodies() == source.bodies()


def split(scene: Stage, supervoxel: int, *, at_source: bool = False, thin: bool = False) -> tuple[int, int]:
    """The ids of the part that goes and of what remains.

    Args:
        thin: one voxel in two of each line goes, so that lower resolutions are decided anew.
    """
    server = scene.source if at_source else scene.destination
    url = f"{server.url}/api/node/{scene.root}/segmentation"
    volume = httpx.get(f"{url}/sparsevol/{supervoxel}?supervoxels=true").content
    runs = np.frombuffer(volume, "<i4", offset=len(RUNS_HEADER) + 4).reshape(-1, 4)
    if thin:
        runs = np.array([(x + step, y, z, 1) for x, y, z, n in runs for step in range(0, n, 2)], "<i4")
    else:
        runs = runs[: len(runs) // 2]
    answer = httpx.post(f"{url}/split-supervoxel/{supervoxel}?u=trainee", content=sparse_volume(runs))
    answer.raise_for_status()
    return answer.json()["SplitSupervoxel"], answer.json()["RemainSupervoxel"]


@pytest.mark.parametrize("apply", ["replay", "state"])
def test_a_run_stops_until_it_is_put_back(tmp_path: Path, apply: str) -> None:
    with stage(tmp_path, size=64, cube=16) as scene:
        source = Worker(scene.root, scene.source.url, "amy")
        copy = Worker(scene.root, scene.destination.url, "trainee")
        checkpoint: Checkpoint | None = None
        for target in (1, 3):
            source.merge(target, target + 1)
            source.renumber(1000 + target, source.cleave(target, target + 1).new)
            source.merge(target, 1000 + target)
            checkpoint, _ = follow(scene, checkpoint, apply, "stop")
            assert checkpoint is not None
            assert checkpoint.alone == next_mutation_id(scene), "nobody else is at work"
        own = copy.cleave(3, 4)
        copy.merge(20, 21)
        cleave, merge = source.cleave(1, 2), source.merge(20, 22)
        assert cleave.new == own.new
        source.merge(7, 8)
        for _ in range(2):
            with pytest.raises(StoppedAt) as stopped:
                follow(scene, checkpoint, apply, "stop")
            assert [row.mutation_id for row in stopped.value.rows] == [cleave.number, merge.number]
            bodies = copy.bodies()
            assert [bodies[each] for each in (1, 3, own.new, 7, 20, 22)] == [
                {1, 2},
                {3},
                {4},
                {7, 8},
                {20, 21},
                {22},
            ]
        copy.merge(3, own.new)
        copy.renumber(21, copy.cleave(20, 21).new)
        checkpoint, rows = follow(scene, checkpoint, apply, "stop")
        assert not rows
        assert copy.bodies() == source.bodies()


def next_mutation_id(scene: Stage) -> int:
    info = httpx.get(f"{scene.destination.url}/api/repo/{scene.root}/info").json()
    return int(info["MutationID"])
