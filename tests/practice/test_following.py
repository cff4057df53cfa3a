"""A copy follows while people practise on branches of its own: the source's versions end as the source's,
practice as it was done, and a comparison agrees."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from dvid_sandbox.proofreaders import WEIGHTS, Proofreaders
from dvidsync_dagster.compare.comparison import compare
from dvidsync_dagster.config import DestinationConfig, SyncConfig
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.log.checkpoint_json import checkpoint_from_json
from dvidsync_dagster.practice.branches import list_branches, make_branch
from dvidsync_dagster.repair.repairing import repair
from dvidsync_dagster.run.follow import Scope
from tests.one_run import followed
from tests.practice.trainees import Trainees, trainees
from tests.stage import Stage, stage
from tests.state import State, differences, read_state

TOKEN = "DVIDSYNC_TEST_ADMIN_TOKEN"
REPOSITORY = Path(__file__).parents[2]
ANNOUNCED = {kind: share for kind, share in WEIGHTS.items() if kind != "delete_neuron"} | {"commit": 1.5}
"""Work that the source's log tells of, with commits often enough that practice has something to begin at."""


@dataclass
class Training:
    """People at the source, and the copy that follows it, with what it takes to kill a run."""

    on_stage: Stage
    people: Proofreaders
    file: Path
    admin: bool
    chunk_records: int = 100

    @property
    def root(self) -> str:
        return self.on_stage.root

    def fields(self) -> dict[str, Any]:
        fields = self.on_stage.fields() | {"chunk_records": self.chunk_records}
        fields["destinations"][0]["practice"] = {"keep": 2}
        if self.admin:
            fields["destinations"][0]["admin_token_env"] = TOKEN
        return fields

    @property
    def config(self) -> SyncConfig:
        return SyncConfig.model_validate(self.fields())

    @property
    def destination(self) -> DestinationConfig:
        return self.config.servers[0]

    def fresh_branch(self) -> str:
        """Its version."""
        made = make_branch(self.config, self.destination, still_owner=lambda: None, say=lambda _: None)
        return made.branch.last.uuid

    def run(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.faults.child", json.dumps(self.fields()), str(self.file)]
        return subprocess.Popen(
            command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def kill_after(self, tries: int) -> bool:
        """Kill a run once the copy was tried to be changed so often, by whomever."""
        before, process = self._mutation_id(), self.run()
        try:
            while process.poll() is None:
                if self._mutation_id() >= before + tries:
                    process.kill()
                    return True
                time.sleep(0.002)
            return False
        finally:
            process.kill()
            process.communicate()

    def run_to_end(self) -> None:
        process = self.run()
        printed, _ = process.communicate(timeout=300)
        assert process.returncode == 0, printed

    def _mutation_id(self) -> int:
        info = httpx.get(f"{self.on_stage.destination.url}/api/repo/{self.root}/info").json()
        return int(info["MutationID"])

    @property
    def checkpoint(self) -> Checkpoint:
        return checkpoint_from_json(json.loads(self.file.read_text()))

    def states(self) -> tuple[State, State]:
        """The source's, and the copy's without the destination's own versions."""
        source, copy = (
            read_state(server.url, self.root, server.admin_token, indices=True)
            for server in (self.on_stage.source, self.on_stage.destination)
        )
        mine = {
            version.uuid
            for branch in list_branches(self.config, self.destination)
            for version in branch.versions
        }
        copy["versions"] = {uuid: held for uuid, held in copy["versions"].items() if uuid not in mine}
        copy["data"] = {
            place: held for place, held in copy["data"].items() if place.split("/")[0] not in mine
        }
        return source, copy

    def assert_same(self) -> None:
        assert differences(*self.states(), next_labels=False) == []


@contextmanager
def training(folder: Path, *, seed: int, admin: bool) -> Iterator[Training]:
    """The source has at least one committed version, and the copy has followed."""
    with (
        stage(folder) as on_stage,
        Proofreaders(
            on_stage.source.url,
            on_stage.root,
            seed=seed,
            people=3,
            weights=ANNOUNCED,
            admin_token=on_stage.source.admin_token,
            max_versions=12,
        ) as people,
    ):
        here = Training(on_stage, people, folder / "checkpoint.json", admin)
        while not any(exchange.kind == "commit" and exchange.status == 200 for exchange in people.exchanges):
            people.work(20)
        here.run_to_end()
        yield here


@pytest.fixture(autouse=True)
def admin_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, "adm")


SEEDS = [int(seed) for seed in os.environ.get("DVIDSYNC_PRACTICE_SEEDS", "1").split(",")]
"""More of them for a soak."""


@pytest.mark.parametrize("admin", [True, False], ids=["admin token", "no admin token"])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_copy_follows_through_chunks_and_a_kill(tmp_path: Path, seed: int, admin: bool) -> None:
    random = Random(seed)
    with ExitStack() as stack:
        here = stack.enter_context(training(tmp_path, seed=seed, admin=admin))
        copy = here.on_stage.destination
        first = stack.enter_context(trainees(copy, here.root, here.fresh_branch(), seed=seed))
        with first.working():
            here.people.work(80)
            here.chunk_records = random.choice([100, 137, 1000])
            here.kill_after(random.randint(20, 120))
            here.people.work(40)
            here.run_to_end()
        second = stack.enter_context(trainees(copy, here.root, here.fresh_branch(), seed=seed + 100))
        with first.working(), second.working():
            here.people.work(60)
            here.run_to_end()
            here.people.work(20)
            # It hands all its messages over first.
            here.on_stage.source.restart()
            here.run_to_end()
        assert here.people.unexpected == []
        here.assert_same()
        for own in (first, second):
            assert own.done > 20
            own.assert_intact()
        _agrees(here, first, second)


def _agrees(here: Training, *own: Trainees) -> None:
    """What is followed agrees; what is the destination's own is told in a line; a repair has nothing to do;
    windows that are read again change nothing."""
    found = compare(here.config, here.destination, reached=lambda: here.checkpoint)
    assert found.agree, found.differences
    assert {each.version for each in own} <= found.own.versions
    assert "practice-20" in found.own.line()
    assert found.own.ids["segmentation"] > 0
    done = repair(
        here.config,
        here.destination,
        dry_run=True,
        still_owner=lambda: None,
        checkpoint=here.checkpoint,
    )
    assert (done.changes, done.not_repaired) == ((), ())
    assert done.agree
    before = here.states()
    reports = followed(here.config, checkpoint=here.checkpoint, epoch=99, scope=Scope(0, 2**62))
    assert sum(len(report.conflicts) for report in reports) == 0
    assert here.states() == before
    for each in own:
        each.assert_intact()
