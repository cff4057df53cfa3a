"""Whether others work at a destination is told by its mutation ids, until both hold the same."""

from __future__ import annotations

from itertools import count

from dvidsync_dagster.datatypes.others_at_work import OthersAtWork
from dvidsync_dagster.log.checkpoint import Checkpoint


class Runs:
    """Runs after each other; each does `own` operations, and others did some before it or meanwhile."""

    def __init__(self) -> None:
        self.next_id = 100
        self.agreed = 0
        self.clock = count(1)
        self.checkpoint = Checkpoint(epoch=1)

    def run(self, own: int = 3, *, before: int = 0, meanwhile: int = 0, sees: bool = False) -> bool:
        """Whether it looked from its start."""
        self.next_id += before
        others = OthersAtWork(matters=True, clock=lambda: next(self.clock), agreed=lambda: self.agreed)
        others.began(self.next_id)
        others.met(self.checkpoint, again=False)
        looked = others.looks
        for _ in range(2):
            for _ in range(own):
                others.took_id()
            self.next_id += own + meanwhile
            if sees:
                others.seen()
            alone = others.end_of_chunk(self.next_id)
        self.checkpoint = Checkpoint(epoch=1, contact=100, alone=alone, doubt=others.doubt)
        return looked

    def agree(self) -> None:
        """A comparison begins, and finds that both hold the same."""
        self.agreed = next(self.clock)


def test_while_nobody_else_works_nothing_is_looked_at() -> None:
    runs = Runs()
    assert not any(runs.run() for _ in range(3))


def test_bodies_are_looked_at_until_both_hold_the_same() -> None:
    runs = Runs()
    runs.run()
    for changes in ({"before": 1}, {"meanwhile": 1}, {"sees": True}):
        runs.agree()
        runs.run(**changes)
        assert all(runs.run() for _ in range(3))
        runs.agree()
        assert not any(runs.run() for _ in range(3))


def test_what_comes_after_a_comparison_began_is_looked_for() -> None:
    runs = Runs()
    runs.run()
    runs.run(before=1)
    runs.agree()
    assert runs.run(before=1)
    assert runs.run()


def test_a_checkpoint_of_a_run_that_left_out_tells_nothing() -> None:
    runs = Runs()
    runs.run()
    runs.checkpoint = Checkpoint(epoch=1, contact=100)
    assert runs.run()
