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


@pytest.mark.parametrize("apply", ["replay", "state"])
def test_it_stops_at_each_run_until_people_have_put_it_back(beside: Beside, apply: str) -> None:
    beside.apply = apply
    own = beside.destination.cleave(3, 4)
    beside.destination.merge(20, 21)
    at_cleave, at_merge = beside.source.merge(5, 3), beside.source.merge(20, 22)
    beside.source.merge(7, 8)
    for _ in range(2):
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


def test_after_a_repair_it_goes_on(beside: Beside) -> None:
    beside.destination.merge(1, 10)
    beside.destination.cleave(3, 4)
    beside.source.merge(11, 10)
    merge = beside.source.merge(3, 9)
    assert merge.number in beside.stopped()
    beside.mend()
    assert not beside.stopped()
    for target, label in ((1, 12), (11, 13), (3, 14), (16, 17)):
        beside.source.merge(target, label)
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


def test_what_people_do_while_a_run_is_at_work_stops_the_next_one(beside: Beside) -> None:
    beside.source.merge(5, 6)
    assert not beside.follow(lambda: beside.destination.merge(20, 21))
    merge = beside.source.merge(22, 20)
    assert beside.stopped() == [merge.number]


def test_where_nobody_works_no_body_is_looked_at(beside: Beside) -> None:
    """But for some of the first operations, which show whether the checkpoint was set back."""
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
    beside.destination.merge(1, 3)
    beside.scene.destination.traffic(begin_anew=True)
    beside.source.merge(63, 64)
    assert not beside.stopped()
    looks = beside.scene.destination.traffic()["requests"]
    assert looks["GET lastmod"] == reads[2]["GET lastmod"] + 2


@pytest.mark.parametrize("apply", ["replay", "state"])
def test_kills_restarts_and_checkpoints_that_were_set_back_stop_nothing(beside: Beside, apply: str) -> None:
    random = Random(7)
    beside.apply = apply
    before = [beside.checkpoint]

    def work() -> None:
        for _ in range(8):
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
        followed(
            beside.scene.config(**beside.fields()), checkpoint=beside.checkpoint, scope=Scope(0, 1 << 62)
        )

    restart = beside.scene.destination.restart
    for disturb in (kill, restart, kill, set_back, work, read_again, set_back, kill, work):
        disturb()
        work()
        assert not beside.stopped()
        before.append(beside.checkpoint)
        beside.scene.assert_same()


@settings(EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.sampled_from(["replay", "state"]))
def test_it_stops_at_what_people_touched_and_all_else_is_as_at_the_source(seed: int, apply: str) -> None:
    random = Random(seed)
    with TemporaryDirectory() as folder, stage(Path(folder)) as scene:
        this = Beside(scene, apply, on_conflict="stop")
        expected = Expected()
        assert not this.stopped()
        pending: list[Done] = []
        for left in reversed(range(random.randint(10, 40))):
            if random.random() < 0.7:
                pending.append(any_operation(this.source, random))
            else:
                expected.own(any_operation(this.destination, random))
            if random.random() < 0.3 or not left:
                wanted = expected.stopped(pending, this.source.bodies())
                stopped = this.stopped()
                assert this.destination.bodies() == expected.bodies
                assert set(stopped) <= wanted
                assert bool(stopped) == bool(wanted)
                if wanted:
                    assert this.stopped() == stopped
                    this.mend()
                    expected = Expected(this.source.bodies())
                    assert not this.stopped()
                    assert this.destination.bodies() == expected.bodies
                assert this.checkpoint is not None
                this.checkpoint = checkpoint_from_json(checkpoint_json(this.checkpoint))
                pending.clear()
