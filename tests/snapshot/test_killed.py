"""A run is killed at any moment, or two run at once: readers see one consistent state, and it is exact."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from signal import SIGKILL

import pytest

from tests.emulators.emulator import Emulator
from tests.emulators.faults import Faults
from tests.snapshot.moves import LOST, look, run

_FORKS = get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.snapshot.moves"])

MANY = os.environ.get("DVIDSYNC_ALL_FAULTS") == "1"
pytestmark = pytest.mark.timeout(1800 if MANY else 300)
ENDS = {0, LOST, -SIGKILL}
LOGINS = ("AWS_", "GOOGLE_", "AZURE_", "AZURITE_")


class Run:
    """A run in a process of its own, which begins when it is told to."""

    def __init__(self, uri: str, chunks: int, seed: int) -> None:
        environment = {name: value for name, value in os.environ.items() if name.startswith(LOGINS)}
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
def test_a_run_that_is_killed_at_a_request_does_no_harm(
    store: Emulator, first: bool, record_property: Callable[[str, object], None]
) -> None:
    if first and not MANY and store.kind != "s3":
        pytest.skip("only with DVIDSYNC_ALL_FAULTS=1")
    uri = f"{store.uri}/killed-{first}"
    before = 0 if first else finished(uri)
    kills, request = 0, 1
    while True:
        killed = Run(uri, 1, request)
        store.set(Faults(kill=killed.pid, at=request, done=request % 2 == 0))
        killed.begin()
        assert killed.ended()
        store.set(Faults())
        checked([killed])
        reached = look(uri)
        assert reached >= before
        before = reached
        if killed.process.exitcode == 0:
            break
        kills += 1
        # Each first snapshot that was killed leaves a commit, which the next one reads by some requests more.
        request += (9 if first else 5) if MANY else 25
    record_property("kills", kills)
    assert kills > ((10 if first else 20) if MANY else 1)
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


def race(uri: str, before: int, round_: int, disturb: Callable[[Run], None]) -> int:
    """Three runs at once; how far they come.

    Args:
        disturb: the first of them, before it begins.
    """
    runs = [Run(uri, 2, 10 * round_ + each) for each in range(3)]
    disturb(runs[0])
    for each in runs:
        each.begin()
    for each in runs:
        assert each.ended()
    checked(runs)
    reached = look(uri)
    assert reached >= before
    return reached


def test_of_runs_at_once_in_a_folder_the_newest_goes_on_and_nothing_is_double(tmp_path: Path) -> None:
    uri = str(tmp_path / "snap")
    before = finished(uri)
    for round_ in range(40 if MANY else 4):
        before = race(uri, before, round_, lambda _: None)
    assert finished(uri) > before > 10


def test_of_runs_at_once_the_newest_goes_on_though_one_is_killed_and_answers_are_lost(
    store: Emulator, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(5)
    uri = f"{store.uri}/races"
    before = finished(uri)
    rounds = 25 if MANY else 1
    for round_ in range(rounds):
        at = chance.randrange(1, 300)

        def disturb(first: Run, at: int = at, round_: int = round_) -> None:
            store.set(Faults(busy=0.05, lost=0.05, kill=first.pid, at=at, seed=round_))

        before = race(uri, before, round_, disturb)
        store.set(Faults())
    record_property("races", rounds)
    assert finished(uri) > before > rounds
