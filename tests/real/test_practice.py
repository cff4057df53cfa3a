"""On real servers: people practise on branches of the copy's own while it follows, and what becomes of
branches that are hidden."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from dvid_sandbox.real_server import RealServer, dvid_binary
from dvidsync_dagster.compare.comparison import compare
from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.practice.branches import list_branches, make_branch
from dvidsync_dagster.practice.score import score
from tests.one_run import followed
from tests.practice.trainees import trainees
from tests.real.harness import Stage, stage
from tests.real.test_follow import ANNOUNCED, FOLLOWED, TOKEN
from tests.real_kafka import RealKafka
from tests.state import contradictions, differences, read_state

pytestmark = [pytest.mark.dvid, pytest.mark.kafka]

OFTEN = {**ANNOUNCED, "commit": 1.5}
"""With commits often enough that practice has something to begin at."""


class Training:
    """The destination of a stage where people practise, and how far it is."""

    def __init__(self, scene: Stage, *, admin: bool) -> None:
        self.scene = scene
        start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(scene.copied_at - 1))
        destination: dict[str, Any] = {
            "name": "copy",
            "url": scene.destination.url,
            "start": {"time": start},
            "practice": {"keep": 2},
        }
        if admin:
            destination["admin_token_env"] = TOKEN
        self.config = SyncConfig.model_validate(
            {
                "source": {"url": scene.source.url},
                "repo": scene.root,
                "settle_seconds": 2,
                "chunk_records": 137,
                "instances": list(FOLLOWED),
                "destinations": [destination],
            }
        )
        self.checkpoint: Checkpoint | None = None
        self.waiting = 0
        """How many records the last run left."""

    def follow(self) -> Checkpoint | None:
        for report in followed(self.config, checkpoint=self.checkpoint):
            assert not report.left_something_out, report.conflicts
            self.checkpoint = report.checkpoint
            self.waiting = report.lag_after.records
        return self.checkpoint

    def catch_up(self) -> None:
        """Follow until nothing is left of what the source has handed over: what is young waits."""
        self.scene.flush()
        while self.follow() is not None and self.waiting:
            pass

    def fresh_branch(self) -> str:
        """Its version."""
        made = make_branch(self.config, self.config.servers[0], still_owner=lambda: None, say=lambda _: None)
        return made.branch.last.uuid

    def differences(self) -> list[str]:
        """What differs in the versions of the source, and what contradicts itself anywhere."""
        source, copy = (
            read_state(server.url, self.scene.root, server.admin_token, indices=True, instances=FOLLOWED)
            for server in (self.scene.source, self.scene.destination)
        )
        ghosts = contradictions(source)
        found = [line for line in contradictions(copy) if line not in ghosts]
        copy["versions"] = {
            uuid: held for uuid, held in copy["versions"].items() if uuid in source["versions"]
        }
        copy["data"] = {place: held for place, held in copy["data"].items() if place in source["data"]}
        found += differences(source, copy, next_labels=False)
        return found + [f"broken log {name}" for name in self.scene.destination.broken_logs()]


@pytest.fixture
def scene(tmp_path: Path, real_kafka: RealKafka) -> Iterator[Stage]:
    with stage(
        tmp_path,
        kafka=real_kafka.address,
        people=3,
        weights=OFTEN,
        before=100,
        max_versions=16,
        seed=5,
    ) as scene:
        yield scene


@pytest.mark.parametrize("admin", [True, False], ids=["admin token", "no admin token"])
def test_the_copy_follows_while_people_practise(
    scene: Stage, admin: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN, scene.destination.admin_token)
    here = Training(scene, admin=admin)
    while not any(each.kind == "commit" and each.status == 200 for each in scene.people.exchanges):
        scene.work(20)
    here.catch_up()
    with ExitStack() as stack:
        first = stack.enter_context(
            trainees(scene.destination, scene.root, here.fresh_branch(), seed=1, people=2)
        )
        with first.working():
            for _ in range(3):
                scene.work(60)
                here.follow()
        second = stack.enter_context(
            trainees(scene.destination, scene.root, here.fresh_branch(), seed=2, people=2)
        )
        with first.working(), second.working():
            scene.work(60)
            here.catch_up()
        assert here.differences() == []
        found = compare(here.config, here.config.destinations[0], reached=lambda: here.checkpoint)
        assert found.agree, found.differences
        for own in (first, second):
            own.assert_intact()
            assert own.version in found.own.versions
        sheet = score(here.config, here.config.servers[0], found.own.branches[0].name)
        assert {row.side for row in sheet.rows} >= {"practice"}
        print(
            f"{first.done} + {second.done} practised requests, {len(scene.people.exchanges)} at the source: "
            f"{found.own.line()}"
        )


def hide(server: RealServer, root: str, branch: str) -> None:
    """By DVID's own command line."""
    binary = dvid_binary()
    assert binary is not None
    command = [binary, f"-rpc=127.0.0.1:{server.rpc_port}", "repo", root, "hide-branch", branch]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Hid branch" in done.stdout, done.stdout + done.stderr


def test_a_hidden_branch_is_gone_and_all_goes_on(scene: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, scene.destination.admin_token)
    here = Training(scene, admin=True)
    while not any(each.kind == "commit" and each.status == 200 for each in scene.people.exchanges):
        scene.work(20)
    here.catch_up()
    version = here.fresh_branch()
    with trainees(scene.destination, scene.root, version, seed=3, people=1) as own:
        own.people.work(60)
        own.assert_intact()
    (branch,) = list_branches(here.config, here.config.servers[0])
    hide(scene.destination, scene.root, branch.name)
    assert list_branches(here.config, here.config.servers[0]) == []
    url = f"{scene.destination.url}/api/node/{version}/note"
    assert httpx.get(url).status_code in (400, 404)
    scene.destination.restart()
    assert list_branches(here.config, here.config.servers[0]) == []
    scene.work(60)
    here.catch_up()
    fresh = here.fresh_branch()
    assert [each.last.uuid for each in list_branches(here.config, here.config.servers[0])] == [fresh]
    assert here.differences() == []
    found = compare(here.config, here.config.destinations[0], reached=lambda: here.checkpoint)
    assert found.agree, found.differences
