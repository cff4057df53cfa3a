"""People at the destination change bodies in a version that it follows: a run that stops at what it cannot do
stops there at each run, until they have put it back or a repair has; and where nobody works nothing is looked
at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dvidsync_dagster.compare.comparison import compare
from dvidsync_dagster.errors import OwnershipLost
from dvidsync_dagster.log.checkpoint_json import checkpoint_from_json, checkpoint_json
from dvidsync_dagster.run.follow import Scope
from tests.labelmap.own_edits import Beside, Done, Expected
from tests.labelmap.test_own_edits import EXAMPLES, any_operation
from tests.one_run import followed
from tests.stage import stage


@pytest.fixture(autouse=True)
def short_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is in flight here when a run has died."""
    monkeypatch.setattr("dvidsync_dagster.destinations.dvid_server.server.REST_SECONDS", 0.01)


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[Beside]:
    with stage(tmp_path) as scene:
        this = Beside(scene, on_conflict="stop")
        scene.merge(1, 2)
        scene.merge(3, 4)
        assert not this.stopped()
        yield this


def test_it_stops_at_what_people_did_before_the_first_run(tmp_path: Path) -> None:
    with stage(tmp_path) as scene:
        this = Beside(scene, on_conflict="stop")
        for worker in (this.source, this.destination):
            worker.merge(1, 2)
            worker.merge(1, 9)
        own, theirs = this.destination.cleave(1, 9), this.source.cleave(1, 2)
        assert own.new == theirs.new
        this.source.merge(7, 8)
        for _ in range(2):
            assert this.stopped()
        bodies = this.destination.bodies()
        assert (bodies[1], bodies[own.new], bodies[7]) == ({1, 2}, {9}, {7, 8})


def test_it_stops_at_them_also_where_the_first_run_did_not_come_to_these_bodies(tmp_path: Path) -> None:
    with stage(tmp_path) as scene:
        this = Beside(scene, on_conflict="stop")
        this.destination.merge(1, 9)
        this.source.merge(7, 8)
        assert not this.stopped()
        at_merge = this.source.merge(2, 1)
        assert this.stopped() == [at_merge.number]
        assert this.destination.bodies()[1] == {1, 9}
        this.mend()
        assert not this.stopped()
        scene.assert_same()


def test_a_repair_then_tells_whose_edits_go(tmp_path: Path) -> None:
    """Though there is no checkpoint."""
    with stage(tmp_path) as scene:
        this = Beside(scene, on_conflict="stop")
        this.destination.merge(1, 9)
        this.destination.merge(20, 21)
        this.source.merge(1, 10)
        assert this.stopped()
        planned, done = (this.repaired(dry_run=dry_run) for dry_run in (True, False))
        edits = {(edit.item, edit.user) for edit in planned.own_edits}
        assert edits == {("body 1", "trainee"), ("body 20", "trainee")}
        assert planned.own_edits == done.own_edits
        scene.assert_same()
        assert not this.stopped()


def test_it_stops_at_each_run_until_people_have_put_it_back(beside: Beside) -> None:
    own = beside.destination.cleave(3, 4)
    beside.destination.merge(20, 21)
    at_cleave, at_merge = beside.source.merge(5, 3), beside.source.merge(20, 22)
    beside.source.merge(7, 8)
    for beside.apply in ("replay", "state"):
        assert beside.stopped() == [at_cleave.number, at_merge.number]
        bodies = beside.destination.bodies()
        found = [bodies[each] for each in (3, own.new, 5, 7, 20, 22)]
        assert found == [{3}, {4}, {5}, {7, 8}, {20, 21}, {22}]
    beside.destination.merge(3, own.new)
    assert beside.stopped() == [at_merge.number]
    beside.destination.renumber(21, beside.destination.cleave(20, 21).new)
    beside.source.merge(30, 31)
    assert not beside.stopped()
    beside.scene.assert_same()


def test_what_one_run_left_out_stops_the_next_ones_until_it_is_repaired(beside: Beside) -> None:
    beside.destination.merge(1, 10)
    left_out = beside.source.merge(11, 10)
    assert beside.stopped() == [left_out.number]
    beside.on_conflict = "skip"
    (row,) = beside.follow()
    assert row.mutation_id == left_out.number
    beside.on_conflict = "stop"
    later = beside.source.merge(12, 11)
    assert beside.stopped() == [later.number]
    beside.mend()
    beside.source.merge(13, 12)
    assert not beside.stopped()
    beside.scene.assert_same()


def test_bodies_are_looked_at_once_others_may_have_worked(beside: Beside) -> None:
    """But for those of the first 12 operations, which show whether the checkpoint was set back."""
    bodies = iter(range(5, 65))
    reads = []
    for operations in (13, 15, 1):
        for _ in range(operations):
            beside.source.merge(next(bodies), next(bodies))
        beside.scene.destination.traffic(begin_anew=True)
        assert not beside.stopped()
        requests = beside.scene.destination.traffic()["requests"]
        assert requests.pop("POST merge") == operations
        reads.append(requests)
    assert reads[0] == reads[1]
    beside.source.merge(5, 7)
    assert not beside.follow(lambda: beside.destination.merge(1, 3))
    beside.source.merge(63, 64)
    beside.scene.destination.traffic(begin_anew=True)
    assert not beside.stopped()
    looks = beside.scene.destination.traffic()["requests"]
    assert looks["GET lastmod"] == reads[2]["GET lastmod"] + 2
    merge = beside.source.merge(9, 1)
    assert beside.stopped() == [merge.number]


def test_looks_end_once_a_comparison_finds_that_both_hold_the_same(beside: Beside) -> None:
    def doubt() -> int:
        beside.scene.merge_next()
        assert not beside.stopped()
        assert beside.checkpoint is not None
        return beside.checkpoint.doubt

    def verify() -> bool:
        config = beside.scene.config(**beside.fields())
        return compare(config, config.destinations[0], reached=lambda: beside.checkpoint).agree

    beside.scene.next_body = 5
    assert doubt() == 0
    beside.scene.destination.restart()
    assert doubt() == doubt() > 0
    beside.destination.merge(20, 21)
    assert not verify()
    assert doubt() > 0
    beside.destination.renumber(21, beside.destination.cleave(20, 21).new)
    assert doubt() > 0
    verify()
    assert doubt() == 0
    merge = beside.source.merge(22, 20)
    assert not beside.stopped()
    assert merge.number
    beside.scene.assert_same()


def test_kills_restarts_and_checkpoints_that_were_set_back_stop_nothing(beside: Beside) -> None:
    random = Random(7)
    before = [beside.checkpoint]

    def work() -> None:
        for _ in range(5):
            any_operation(beside.source, random)

    def killed() -> None:
        raise OwnershipLost("killed")

    def kill() -> None:
        work()
        with suppress(OwnershipLost):
            beside.follow(killed)

    def set_back() -> None:
        earlier = random.choice(before)
        assert earlier is not None
        beside.checkpoint = replace(earlier, clean=random.random() < 0.5)

    def read_again() -> None:
        config = beside.scene.config(**beside.fields())
        followed(config, checkpoint=beside.checkpoint, scope=Scope(0, 1 << 62))

    restart = beside.scene.destination.restart
    for beside.apply, *disturbances in (
        ("replay", kill, restart),
        ("state", kill, set_back, read_again),
    ):
        for disturb in disturbances:
            disturb()
            work()
            assert not beside.stopped()
            before.append(beside.checkpoint)
            beside.scene.assert_same()


@settings(EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.sampled_from(["replay", "state"]))
def test_what_people_touched_stays_and_stops_each_run_until_it_is_repaired(seed: int, apply: str) -> None:
    random = Random(seed)
    with TemporaryDirectory() as folder, stage(Path(folder)) as scene:
        this = Beside(scene, apply, on_conflict="stop")
        expected = Expected()
        assert not this.stopped()
        pending: list[Done] = []
        for left in reversed(range(random.randint(8, 14))):
            if random.random() < 0.7:
                # docs/design.md tells what is not covered.
                pending.append(any_operation(this.source, random, renumbers_given=False))
            else:
                expected.own(any_operation(this.destination, random))
            if random.random() < 0.15 or not left:
                wanted = expected.stopped(pending, this.source.bodies())
                for _ in range(2 if wanted else 0):
                    stopped = set(this.stopped())
                    assert stopped
                    assert stopped <= wanted
                    bodies = this.destination.bodies()
                    own = expected.apart & expected.bodies.keys()
                    assert {each: bodies[each] for each in own} == expected.of(own)
                if wanted:
                    this.mend()
                    expected = Expected(this.source.bodies())
                assert not this.stopped()
                assert this.destination.bodies() == expected.bodies
                assert this.checkpoint is not None
                this.checkpoint = checkpoint_from_json(checkpoint_json(this.checkpoint))
                pending.clear()
