"""People at the destination change bodies in a version that it follows: no operation of the source lands on
another body, what depends on it is left out with it, and all that is left out is listed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import httpx
import numpy as np
import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from dvid_sandbox.launcher import SandboxServer
from dvid_sandbox.proofreaders.segmentation import sparse_volume
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.log.checkpoint_json import checkpoint_from_json, checkpoint_json
from dvidsync_dagster.repair.repairing import repair
from dvidsync_dagster.run.conflict_table import conflict_table_of
from tests.labelmap.own_edits import Beside, Done, Expected, Worker
from tests.stage import INSTANCE, stage


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[Beside]:
    with stage(tmp_path) as scene:
        this = Beside(scene)
        scene.merge(1, 2)
        scene.merge(3, 4)
        assert not this.follow()
        yield this


def test_a_label_that_the_destination_gave_is_never_taken_for_the_sources(beside: Beside) -> None:
    own = beside.destination.cleave(3, 4)
    theirs = beside.source.cleave(1, 2)
    assert own.new == theirs.new
    beside.source.merge(5, theirs.new)
    beside.source.merge(7, 8)
    cleave, merge = beside.follow()
    told = f"body {own.new} is the destination's own work: trainee changed it last there, 2"
    assert cleave.found.startswith(told)
    assert merge.found.startswith(told)
    bodies = beside.destination.bodies()
    assert (bodies[1], bodies[3], bodies[own.new], bodies[5], bodies[7]) == ({1, 2}, {3}, {4}, {5}, {7, 8})


def test_what_depends_on_what_was_left_out_is_left_out_in_later_runs(beside: Beside) -> None:
    beside.destination.merge(1, 10)
    first = beside.source.merge(11, 10)
    (row,) = beside.follow()
    assert row.mutation_id == first.number
    assert beside.checkpoint is not None
    beside.checkpoint = checkpoint_from_json(checkpoint_json(beside.checkpoint))
    beside.source.merge(12, 11)
    (later,) = beside.follow()
    assert later.found == f"body 11 is not as at the source, as {row.where} was left out"
    beside.source.merge(13, 12)
    (last,) = beside.follow()
    assert last.found == f"body 12 is not as at the source, as {later.where} was left out"
    bodies = beside.destination.bodies()
    assert (bodies[1], bodies[11], bodies[12], bodies[13]) == ({1, 2, 10}, {11}, {12}, {13})


@pytest.mark.parametrize("apply", ["replay", "state"])
def test_of_merges_that_are_one_request_those_that_touch_no_own_body_are_done(
    beside: Beside, apply: str
) -> None:
    beside.apply = apply
    beside.destination.merge(20, 21)
    for label in (30, 31):
        beside.source.merge(22, label)
    beside.source.merge(22, 20)
    beside.source.merge(22, 32)
    assert len(beside.follow()) == 2
    assert beside.destination.bodies()[22] == {22, 30, 31}


def test_an_id_of_a_body_that_people_merged_away_is_free_for_the_source(beside: Beside) -> None:
    own = beside.destination.cleave(3, 4)
    beside.destination.merge(3, own.new)
    theirs = beside.source.cleave(1, 2)
    assert own.new == theirs.new
    assert not beside.follow()
    assert beside.destination.bodies()[own.new] == {2}
    beside.checkpoint = None
    (listed,) = beside.follow()  # a body that people changed hides that it was done
    assert listed.items == ("3", "4")
    assert beside.destination.bodies()[own.new] == {2}


@pytest.mark.parametrize("on_conflict", ["skip", "stop"])
def test_a_supervoxel_is_not_split_in_a_body_that_people_merged_it_into(
    beside: Beside, on_conflict: str
) -> None:
    beside.on_conflict = on_conflict
    beside.destination.merge(1, 10)
    path = f"{beside.scene.source.url}/api/node/{beside.scene.root}/{INSTANCE}"
    volume = httpx.get(f"{path}/sparsevol/10?supervoxels=true").content
    runs = np.frombuffer(volume, "<i4", offset=12).reshape(-1, 4)
    part = sparse_volume(runs[: len(runs) // 2])
    httpx.post(f"{path}/split-supervoxel/10?u=amy", content=part).raise_for_status()
    if on_conflict == "stop":
        assert beside.stopped()
    else:
        (row,) = beside.follow()
        assert row.found.startswith("supervoxel 10 is in body 1, the destination's own work: trainee")
    assert beside.destination.bodies()[1] == {1, 2, 10}


def checkpoint_lost(beside: Beside, earlier: Checkpoint | None) -> None:
    """The next run begins where an earlier one did, and knows that it was not the last one."""
    assert earlier is not None
    beside.checkpoint = replace(earlier, clean=False)


def test_what_was_left_out_stays_listed_after_people_took_its_body_away(beside: Beside) -> None:
    cleave = beside.source.cleave(1, 2)
    assert not beside.follow()
    earlier = beside.checkpoint
    beside.destination.merge(cleave.new, 10)
    renumber = beside.source.renumber(70, cleave.new)
    assert {row.mutation_id for row in beside.follow()} == {renumber.number}
    # So that the server tells only that the label was given once.
    beside.destination.merge(20, cleave.new)
    checkpoint_lost(beside, earlier)
    assert {row.mutation_id for row in beside.follow()} == {renumber.number}
    table = conflict_table_of(beside.scene.config(**beside.fields()), "copy")
    assert [each.row.mutation_id for each in table.rows("open")] == [renumber.number]


def test_a_body_that_people_took_away_does_not_show_that_it_took_others(beside: Beside) -> None:
    """A merge into it would have ended a body that is still there."""
    cleave = beside.source.cleave(1, 2)
    assert not beside.follow()
    beside.destination.merge(20, cleave.new)
    beside.destination.merge(20, 12)
    earlier = beside.checkpoint
    into = [beside.source.merge(11, 12), beside.source.merge(cleave.new, 11)]
    checkpoint_lost(beside, earlier)
    assert {row.mutation_id for row in beside.follow()} == {each.number for each in into}
    assert beside.destination.bodies()[11] == {11}


def test_after_a_repair_the_bodies_are_followed_again(beside: Beside) -> None:
    beside.destination.merge(1, 10)
    beside.destination.cleave(3, 4)
    beside.source.merge(11, 10)
    beside.source.merge(3, 9)
    assert len(beside.follow()) == 2
    config = beside.scene.config(**beside.fields())
    done = repair(
        config, config.destinations[0], checkpoint=beside.checkpoint, dry_run=False, still_owner=lambda: None
    )
    assert done.after is not None
    assert not [row for row in done.after.differences if not row.ahead]
    for target, label in ((1, 12), (11, 13), (3, 14), (16, 17)):
        beside.source.merge(target, label)
    assert not beside.follow()
    beside.scene.assert_same()


def test_in_bulk_nothing_is_tried_in_a_version_of_the_destinations_own(beside: Beside) -> None:
    beside.apply = "state"
    source, copy = (f"{server.url}/api/node" for server in (beside.source, beside.destination))
    root = beside.scene.root
    httpx.post(f"{source}/{root}/commit", json={"note": "done"}).raise_for_status()
    child = httpx.post(f"{source}/{root}/newversion", json={"note": "next"}).json()["child"]
    assert not beside.follow()
    httpx.post(f"{copy}/{root}/branch", json={"branch": "practice-1", "note": "own"}).raise_for_status()
    httpx.post(f"{source}/{child}/{INSTANCE}/merge?u=amy", json=[20, 21]).raise_for_status()
    assert not beside.follow()
    mapped = httpx.request("GET", f"{copy}/{child}/{INSTANCE}/mapping", json=[21])
    assert mapped.json() == [20]


def test_what_failed_at_the_source_is_not_missing_in_a_copied_folder(tmp_path: Path) -> None:
    """In a chunk that is not the last one nobody asks yet what became of it."""
    with stage(tmp_path) as scene:
        there = f"{scene.source.url}/api/node/{scene.root}/{INSTANCE}"
        assert httpx.post(f"{there}/cleave/1?u=amy", json=[64]).status_code == 400
        for label in range(4, 60):
            scene.merge(3, label)
        scene.source.stop()
        folder = scene.source.copy_to(tmp_path / "later")
        scene.source.restart()
        with SandboxServer.start(folder) as copy:
            this = Beside(replace(scene, destination=copy), on_conflict="stop")
            scene.merge(3, 60)
            assert not this.follow()
            this.scene.assert_same()


EXAMPLES = settings(
    max_examples=2, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate], print_blob=True
)
"""Each starts servers: they are few and long, and none is made smaller."""


@EXAMPLES
@given(st.integers(0, 2**32), st.sampled_from(["replay", "state"]))
def test_all_but_what_people_touched_is_as_at_the_source_and_the_rest_is_listed(
    seed: int, apply: str
) -> None:
    for this, expected in runs(Random(seed), apply):
        this.follow()
        assert this.destination.bodies() == expected.bodies
        assert sorted(row.mutation_id or 0 for row in this.conflicts) == sorted(expected.left_out)


@EXAMPLES
@given(st.integers(0, 2**32), st.sampled_from(["replay", "state"]))
def test_runs_whose_checkpoints_are_lost_end_the_same_and_list_no_less(seed: int, apply: str) -> None:
    """What such a run had done on a body that people changed before the next one is listed too."""
    random = Random(seed)
    for this, expected in runs(random, apply):
        before = this.checkpoint
        this.follow()
        assert this.destination.bodies() == expected.bodies
        assert {row.mutation_id for row in this.conflicts} >= set(expected.left_out)
        if before is not None and random.random() < 0.4:
            this.checkpoint = replace(before, clean=random.random() < 0.5)


@EXAMPLES
@given(st.integers(0, 2**32), st.sampled_from(["replay", "state"]))
def test_so_it_is_where_people_began_before_the_first_run(seed: int, apply: str) -> None:
    for this, expected in runs(Random(seed), apply, is_met=False):
        this.follow()
        assert this.destination.bodies() == expected.bodies
        assert sorted(row.mutation_id or 0 for row in this.conflicts) == sorted(expected.left_out)


def runs(random: Random, apply: str, *, is_met: bool = True) -> Iterator[tuple[Beside, Expected]]:
    """People at work on both sides. Each time that it stands still a run is due, and what must come of it is
    told."""
    expected = Expected()
    with TemporaryDirectory() as folder, stage(Path(folder)) as scene:
        this = Beside(scene, apply)
        if is_met:
            assert not this.follow()
        waiting: list[Done] = []
        own: dict[int, Done] = {}
        for left in reversed(range(random.randint(10, 40))):
            if random.random() < 0.7:
                waiting.append(any_operation(this.source, random))
            else:
                done = any_operation(this.destination, random)
                expected.own(done)
                own |= {} if is_met else {done.number: done}
            if random.random() < 0.3 or not left:
                # What has one number and touches the same body on both sides can look alike.
                alike = [done for done in waiting if done.number in own]
                assume(not any(done.touched & own[done.number].touched for done in alike))
                is_met = True
                for done in waiting:
                    expected.followed(done)
                waiting.clear()
                yield this, expected


def any_operation(worker: Worker, random: Random, *, renumbers_given: bool = True) -> Done:
    """Among few bodies, so that people meet.

    Args:
        renumbers_given: also bodies with a label that a cleave or a renumber gave.
    """
    bodies = {body: parts for body, parts in worker.bodies().items() if min(parts) <= 12}
    several = sorted(body for body, parts in bodies.items() if len(parts) > 1)
    if several and random.random() < 0.5:
        body = random.choice(several)
        return worker.cleave(body, random.choice(sorted(bodies[body])))
    target, label = random.sample(sorted(bodies), 2)
    if random.random() < 0.2 and (renumbers_given or label <= 64):
        free = sorted(set(range(1000, 1010)) - bodies.keys())
        return worker.renumber(random.choice(free), label)
    return worker.merge(target, label)
