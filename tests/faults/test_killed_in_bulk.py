"""As `test_killed`, with bodies that are made in bulk."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.faults.killable import LABELS, TOKEN_ENV, KillableRuns, scene

NO_SPLITS = {kind: share for kind, share in LABELS.items() if kind != "split"}
BULK = ("POST indices", "POST mappings")


@pytest.fixture(autouse=True)
def admin_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_ENV, "adm")


def in_bulk(here: KillableRuns) -> KillableRuns:
    here.apply = "state"
    return here


@pytest.mark.parametrize("weights", [LABELS, NO_SPLITS], ids=["all", "without splits of bodies"])
def test_a_run_that_nothing_disturbs(tmp_path: Path, weights: Mapping[str, float]) -> None:
    with scene(tmp_path, seed=3, weights=weights) as here:
        in_bulk(here).run()
        assert here.differences() == []
        requests = here.stage.destination.traffic()["requests"]
        if weights is NO_SPLITS:
            assert all(requests[kind] for kind in BULK)
            assert not requests.keys() & {"POST merge", "POST renumber", "POST cleave"}


@pytest.mark.parametrize("kind", ["kill-before", "kill-after"])
@pytest.mark.parametrize("only", ["/mappings", "/indices"])
@pytest.mark.parametrize("goes_on", ["state", "auto"])
def test_a_run_that_ends_at_a_request(tmp_path: Path, kind: str, only: str, goes_on: str) -> None:
    """The server goes with it, so that the run cannot look again."""
    if (kind, only) != ("kill-after", "/mappings") and os.environ.get("DVIDSYNC_ALL_FAULTS") != "1":
        pytest.skip("DVIDSYNC_ALL_FAULTS=1 runs it: a run waits 20 s for a server that is dead")
    with scene(tmp_path, seed=11, work=150, chunk_records=100, weights=NO_SPLITS) as here:
        copy = here.stage.destination
        # The first request for indices only tries whether the server keeps them.
        copy.ask_for_faults({"kind": kind, "only": only, "after": 1 if only == "/indices" else 0})
        in_bulk(here).try_to_run()
        copy.wait_for_death()
        copy.restart()
        here.apply = goes_on
        here.chunk_records = 150
        here.run()
        assert here.differences() == []


def test_no_id_is_burned_where_few_operations_follow_a_run_that_was_killed(tmp_path: Path) -> None:
    """The mapping that it wrote has moved the counter. `auto` repeats so few one by one else."""
    with scene(tmp_path, seed=11, work=150, weights=NO_SPLITS, chunk_records=400) as here:
        copy = here.stage.destination
        copy.ask_for_faults({"kind": "kill-after", "only": "/mappings", "after": 0})
        in_bulk(here).try_to_run()
        copy.wait_for_death()
        copy.restart()
        here.apply = "auto"
        here.chunk_records = 100
        here.run()
        assert here.differences() == []


@pytest.mark.parametrize("kind", ["drop-before", "drop-after"])
@pytest.mark.parametrize("only", ["/mappings", "/indices"])
def test_a_lost_answer(tmp_path: Path, kind: str, only: str) -> None:
    with scene(tmp_path, seed=7, work=120, weights=NO_SPLITS) as here:
        here.stage.destination.ask_for_faults({"kind": kind, "only": only, "after": 1})
        in_bulk(here).run()
        assert here.differences() == []
