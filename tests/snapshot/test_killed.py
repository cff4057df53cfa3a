"""A run is killed at any moment, or two run at once: readers see one consistent state, and it is exact."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from signal import SIGKILL

import pytest

from tests.snapshot.emulated_s3 import EmulatedS3, Faults, emulated_s3
from tests.snapshot.moves import LOST, look, run

_FORKS = get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.snapshot.moves"])

MANY = os.environ.get("DVIDSYNC_ALL_FAULTS") == "1"
ENDS = {0, LOST, -SIGKILL}


class Run:
    """A run in a process of its own, which begins when it is told to."""

    def __init__(self, uri: str, chunks: int, seed: int) -> None:
        environment = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        told, self._go = _FORKS.Pipe(duplex=False)
        self.process: ForkServerProcess = _FORKS.Process(
            target=run, args=(uri, environment, chunks, seed, told)
        )
        self.process.start()
        self.pid = self.process.pid or 0

    def begin(self) -> None:
        self._go.send(True)

    def ended(self, timeout: float | None = None) -> bool:
        self.process.join(timeout)
        return self.process.exitcode is not None

    def kill(self) -> None:
        self.process.kill()
        self.process.join()


@pytest.fixture(scope="module")
def s3() -> Iterator[EmulatedS3]:
    with emulated_s3() as running:
        running.make_bucket("snap")
        yield running


def finished(uri: str) -> int:
    """What a run that nobody disturbs comes to, and how far."""
    whole = Run(uri, 1, 0)
    whole.begin()
    assert whole.ended()
    assert whole.process.exitcode == 0
    return look(uri)


def checked(runs: Sequence[Run]) -> None:
    assert {each.process.exitcode for each in runs} <= ENDS


@pytest.mark.parametrize("first", [True, False], ids=["first snapshot", "refresh"])
def test_a_run_that_is_killed_at_a_request_does_no_harm(s3: EmulatedS3, first: bool) -> None:
    uri = f"s3://snap/killed-{first}"
    before = 0 if first else finished(uri)
    kills, request = 0, 1
    while True:
        killed = Run(uri, 1, request)
        s3.set(Faults(kill=killed.pid, at=request, done=request % 2 == 0))
        killed.begin()
        assert killed.ended()
        s3.set(Faults())
        checked([killed])
        reached = look(uri)
        assert reached >= before
        before = reached
        if killed.process.exitcode == 0:
            break
        kills += 1
        request += 3 if MANY else 11
    assert kills > (30 if MANY else 5)
    assert finished(uri) > before > 0


def test_a_run_that_is_killed_at_any_moment_does_no_harm(tmp_path: Path) -> None:
    chance = random.Random(11)
    uri = str(tmp_path / "snap")
    before = finished(uri)
    kills = 0
    while kills < (150 if MANY else 30):
        killed = Run(uri, 4, kills)
        killed.begin()
        if not killed.ended(chance.uniform(0.02, 0.5)):
            killed.kill()
            kills += 1
        checked([killed])
        reached = look(uri)
        assert reached >= before
        before = reached
    assert finished(uri) > before > 0


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_of_runs_at_once_the_newest_goes_on_and_nothing_is_double(
    kind: str, s3: EmulatedS3, tmp_path: Path
) -> None:
    chance = random.Random(5)
    uri = str(tmp_path / "snap") if kind == "folder" else "s3://snap/races"
    before = finished(uri)
    for round_ in range(40 if MANY else 4):
        runs = [Run(uri, 2, 10 * round_ + each) for each in range(3)]
        if kind == "s3":
            s3.set(Faults(busy=0.05, lost=0.05, kill=runs[0].pid, at=chance.randrange(1, 300), seed=round_))
        for each in runs:
            each.begin()
        for each in runs:
            assert each.ended()
        s3.set(Faults())
        checked(runs)
        reached = look(uri)
        assert reached >= before
        before = reached
    assert finished(uri) > before > 10
