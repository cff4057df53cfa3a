"""`dvidsync repair --version`: one version goes back to the source's state, and its conflicts are closed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import numpy as np
import pytest

from dvid_sandbox.launcher import SandboxServer
from dvidsync_dagster.cli.exit_codes import CONFLICT, DIFFERENT, DONE, LEFT_OUT, WRONG_CONFIGURATION
from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.orchestration.build import build_definitions
from dvidsync_dagster.orchestration.conflict_asset import CLOSED, OPEN
from dvidsync_dagster.orchestration.followers import destination_follower
from dvidsync_dagster.orchestration.names import conflicts_key
from dvidsync_dagster.orchestration.repair_job import REPAIR_OP
from tests.cli.test_cli import dvidsync, write
from tests.cli.test_conflicts import fields_of, rows
from tests.stage import INSTANCE, Stage, stage

pytestmark = pytest.mark.usefixtures("home")

KEYS = "segmentation_annotations"
MASTER, SIDE = "c" * 32, "d" * 32


@dataclass
class Scene:
    """Two open versions: of the branch master, and of another one."""

    stage: Stage
    folder: Path

    def post(
        self, path: str, content: Any, *, server: SandboxServer | None = None, user: str = "amy"
    ) -> None:
        """At the source, or at `server`."""
        url = f"{(server or self.stage.source).url}/api/node/{path}?u={user}&app=neu3"
        sent = {"content": content} if isinstance(content, bytes) else {"json": content}
        httpx.post(url, **sent).raise_for_status()

    def merge(self, version: str, *bodies: int) -> None:
        self.post(f"{version}/{INSTANCE}/merge", bodies)

    def own_merge(self, version: str, *bodies: int) -> None:
        """By somebody who works at the destination."""
        path = f"{version}/{INSTANCE}/merge"
        self.post(path, bodies, server=self.stage.destination, user="trainee")

    def bodies(self, server: SandboxServer, version: str) -> list[int]:
        """Of the supervoxels 1 to 64."""
        path = f"{server.url}/api/node/{version}/{INSTANCE}/mapping"
        answer = httpx.request("GET", path, json=list(range(1, 65)))
        answer.raise_for_status()
        found = answer.json()
        assert isinstance(found, list)
        return found

    def same(self, version: str) -> bool:
        return self.bodies(self.stage.destination, version) == self.bodies(self.stage.source, version)

    def fields(self, on_conflict: str) -> dict[str, Any]:
        """People practise there, so that ids which a repair takes are no difference."""
        fields = fields_of(self.stage, on_conflict)
        fields["destinations"][0]["practice"] = {"branch": "practice"}
        return fields

    def config(self, on_conflict: str) -> str:
        return write(self.folder, self.fields(on_conflict))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with stage(tmp_path / "stage") as servers:
        scene = Scene(servers, tmp_path)
        root = servers.root
        scene.post(f"{root}/commit", {"note": "done"})
        scene.post(f"{root}/newversion", {"note": "", "uuid": MASTER})
        scene.post(f"{root}/branch", {"branch": "side", "note": "", "uuid": SIDE})
        assert dvidsync("run", scene.config("skip")).exit_code == DONE
        yield scene


def test_only_that_version_is_taken_back(scene: Scene) -> None:
    config = scene.config("skip")
    for version in (MASTER, SIDE):
        scene.own_merge(version, 1, 10)
        scene.merge(version, 11, 10)
    own = f"{MASTER}/{KEYS}/key/mine"
    scene.post(own, b"1", server=scene.stage.destination)
    assert dvidsync("run", config).exit_code == LEFT_OUT
    before = {version: scene.bodies(scene.stage.destination, version) for version in (MASTER, SIDE)}

    planned = dvidsync("repair", config, "--version", MASTER[:6])
    assert planned.exit_code == DIFFERENT
    assert "up to 1 row of the conflict table closed" in planned.output
    assert f"{MASTER}  {INSTANCE}  body 1  changed last by trainee 2" in planned.output
    assert "delete key" in planned.output
    assert SIDE not in planned.output
    for version in (MASTER, SIDE):
        assert scene.bodies(scene.stage.destination, version) == before[version]
    assert {row["state"] for row in rows(config)} == {"open"}

    done = dvidsync("repair", config, "--version", MASTER, "--apply", "--json")
    assert done.exit_code == DONE, done.output
    (told,) = json.loads(done.stdout).values()
    assert told["conflicts_closed"] == 1
    assert [edit["item"] for edit in told["own_edits"]] == ["body 1"]
    assert scene.same(MASTER)
    assert scene.bodies(scene.stage.destination, SIDE) == before[SIDE]
    assert httpx.get(f"{scene.stage.destination.url}/api/node/{own}").status_code == 404
    closed, still_open = sorted(rows(config), key=lambda row: row["version"])
    assert (closed["version"], closed["state"], closed["closed_by"]) == (MASTER, "closed", "repaired")
    assert (still_open["version"], still_open["state"]) == (SIDE, "open")

    # What was taken back is followed again.
    scene.merge(MASTER, 1, 12)
    scene.merge(MASTER, 11, 13)
    assert dvidsync("run", config).exit_code == DONE
    assert scene.same(MASTER)


def test_after_a_stop_it_lets_the_next_run_go_on(scene: Scene) -> None:
    config = scene.config("stop")
    scene.own_merge(MASTER, 1, 10)
    scene.merge(MASTER, 11, 10)
    scene.merge(MASTER, 20, 21)
    scene.merge(SIDE, 30, 31)
    assert dvidsync("run", config).exit_code == CONFLICT
    (stopped,) = rows(config)

    planned = dvidsync("repair", config, "--version", MASTER)
    assert planned.exit_code == DIFFERENT
    assert f"Runs stop at {stopped['record']}" in planned.output
    assert "body 1  changed last by trainee" in planned.output
    assert "pending" not in planned.output
    assert dvidsync("run", config).exit_code == CONFLICT

    done = dvidsync("repair", config, "--version", MASTER, "--apply")
    assert done.exit_code == DONE, done.output
    (row,) = rows(config)
    assert (row["state"], row["closed_by"], row["listed"]) == ("closed", "repaired", stopped["listed"])
    scene.merge(MASTER, 11, 12)
    assert dvidsync("run", config).exit_code == DONE
    assert scene.same(MASTER)
    assert scene.same(SIDE)
    assert dvidsync("verify", config).exit_code == DONE


def test_a_stop_in_another_version_stays(scene: Scene) -> None:
    config = scene.config("stop")
    scene.own_merge(MASTER, 1, 10)
    scene.own_merge(SIDE, 1, 10)
    scene.merge(SIDE, 11, 10)
    assert dvidsync("run", config).exit_code == CONFLICT
    assert dvidsync("repair", config, "--version", MASTER, "--apply").exit_code == DONE
    assert scene.same(MASTER)
    assert [row["state"] for row in rows(config)] == ["open"]
    assert dvidsync("run", config).exit_code == CONFLICT


def test_the_job_and_what_dagster_shows_then(scene: Scene) -> None:
    config = SyncConfig.model_validate(scene.fields("skip"))
    follower = destination_follower(config, config.destinations[0])
    scene.own_merge(MASTER, 1, 10)
    scene.merge(MASTER, 11, 10)
    assert dvidsync("run", scene.config("skip")).exit_code == LEFT_OUT
    job = build_definitions(config).resolve_job_def(follower.repair_job)
    settings = {"dry_run": False, "version": MASTER}
    with dg.DagsterInstance.get() as instance:
        job.execute_in_process(instance=instance, run_config={"ops": {REPAIR_OP: {"config": settings}}})
        event = instance.get_latest_materialization_event(conflicts_key(follower.key))
    assert event is not None
    assert event.asset_materialization is not None
    shown = event.asset_materialization.metadata
    assert (shown[OPEN].value, shown[CLOSED].value) == (0, 1)
    assert scene.same(MASTER)


def test_a_repair_of_all_versions_closes_what_it_resolves(scene: Scene) -> None:
    config = scene.config("skip")
    for version in (MASTER, SIDE):
        scene.own_merge(version, 1, 10)
        scene.merge(version, 11, 10)
    assert dvidsync("run", config).exit_code == LEFT_OUT
    assert dvidsync("repair", config, "--apply").exit_code == DONE
    assert [row["closed_by"] for row in rows(config)] == ["repaired", "repaired"]


def test_a_row_is_closed_also_where_nothing_is_left_to_repair(scene: Scene) -> None:
    """As after a repair that was killed, or where people have put right themselves what they did."""
    config = scene.config("skip")
    scene.own_merge(MASTER, 1, 10)
    scene.merge(MASTER, 11, 10)
    assert dvidsync("run", config).exit_code == LEFT_OUT
    node = f"{scene.stage.destination.url}/api/node/{MASTER}/{INSTANCE}"
    cleaved = httpx.post(f"{node}/cleave/1?u=trainee", json=[10]).json()["CleavedLabel"]
    scene.own_merge(MASTER, 11, cleaved)
    assert scene.same(MASTER)
    assert [row["state"] for row in rows(config)] == ["open"]
    done = dvidsync("repair", config, "--version", MASTER, "--apply")
    assert done.exit_code == DONE, done.output
    assert "0 changes were made, and 1 row of the conflict table closed" in done.output
    assert [row["closed_by"] for row in rows(config)] == ["repaired"]


def test_a_row_whose_body_still_differs_stays_open(scene: Scene) -> None:
    """Voxels are not repaired."""
    config = scene.config("skip")
    scene.own_merge(MASTER, 1, 10)
    scene.own_merge(MASTER, 2, 20)
    for target, label in ((11, 10), (21, 20)):
        scene.merge(MASTER, target, label)
    assert dvidsync("run", config).exit_code == LEFT_OUT
    path = f"{scene.stage.destination.url}/api/node/{MASTER}/{INSTANCE}/raw/0_1_2/64_64_64/0_0_0"
    voxels = np.frombuffer(httpx.get(f"{path}?supervoxels=true").content, "<u8").copy()
    voxels[np.flatnonzero(voxels == 20)[:100]] = 0
    httpx.post(f"{path}?mutate=true", content=voxels.tobytes()).raise_for_status()
    assert dvidsync("repair", config, "--version", MASTER, "--apply").exit_code == DIFFERENT
    assert {tuple(row["items"]): row["state"] for row in rows(config)} == {
        ("11", "10"): "closed",
        ("21", "20"): "open",
    }


def test_a_version_that_is_not_followed(scene: Scene) -> None:
    for name in ("e" * 32, "c"):
        wrong = dvidsync("repair", scene.config("skip"), "--version", name)
        assert wrong.exit_code == WRONG_CONFIGURATION
        assert f"'{name}' names none of the 3 versions" in wrong.output


def test_a_branch_of_the_source_that_is_called_like_practice(scene: Scene) -> None:
    fields = scene.fields("skip")
    fields["destinations"][0]["practice"] = {"branch": "side"}
    scene.merge(SIDE, 1, 10)
    run = dvidsync("run", write(scene.folder, fields))
    assert run.exit_code == DONE
    assert "called like practice branches here: side." in run.output
    assert scene.same(SIDE)
    scene.merge(SIDE, 2, 20)
    assert "called like practice" not in dvidsync("run", scene.config("skip")).output


def test_the_status_after_another_job(scene: Scene) -> None:
    config = scene.config("skip")
    scene.merge(MASTER, 1, 10)
    assert dvidsync("run", config).exit_code == DONE
    assert "its run ended in order\n" in dvidsync("status", config).output
    assert dvidsync("practice", "new", config).exit_code == DONE
    assert "its run ended in order, and another job has begun since\n" in dvidsync("status", config).output
