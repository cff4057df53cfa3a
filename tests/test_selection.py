"""Following some branches only: what others did to the label counter is kept, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from dvid_sandbox.launcher import SandboxServer
from tests.one_run import followed
from tests.stage import INSTANCE, Stage, stage

TOKEN = "DVIDSYNC_TEST_ADMIN_TOKEN"


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    with stage(tmp_path) as scene:
        monkeypatch.setenv(TOKEN, str(scene.destination.admin_token))
        yield scene


def post(scene: Stage, version: str, path: str, body: Any = None, *, admin: bool = False) -> Any:
    params = {"admintoken": scene.source.admin_token} if admin else {}
    url = f"{scene.source.url}/api/node/{version}/{path}"
    answer = httpx.post(url, params={**params, "u": "amy"}, json=body)
    answer.raise_for_status()
    return answer.json() if answer.content else None


def next_label(scene: Stage, server: SandboxServer) -> int:
    answer = httpx.get(f"{server.url}/api/node/{scene.root}/{INSTANCE}/nextlabel")
    return int(answer.json()["nextlabel"])


@pytest.mark.parametrize("admin", [False, True], ids=["no admin token", "admin token"])
@pytest.mark.parametrize("setting", ["nextlabel/5", "maxlabel/700", "set-nextlabel/900"])
def test_work_on_a_branch_that_is_not_followed(scene: Stage, setting: str, admin: bool) -> None:
    post(scene, scene.root, f"{INSTANCE}/merge", [1, 2, 3, 4])
    post(scene, scene.root, "commit", {"note": "done"})
    main = post(scene, scene.root, "newversion", {"note": ""})["child"]
    other = post(scene, scene.root, "branch", {"branch": "other"})["child"]
    for version in (other, main):
        post(scene, version, f"{INSTANCE}/cleave/1", [2])
    post(scene, other, f"{INSTANCE}/{setting}", admin=True)
    post(scene, main, f"{INSTANCE}/cleave/1", [3])
    fields = scene.fields()
    if admin:
        fields["destinations"][0]["admin_token_env"] = TOKEN
    config = scene.config(**fields, branches=["master"])
    reports = followed(config)
    assert not any(report.conflicts for report in reports)
    bodies = []
    for server in (scene.source, scene.destination):
        url = f"{server.url}/api/node/{main}/{INSTANCE}/mapping"
        bodies.append(httpx.request("GET", url, json=[1, 2, 3, 4]).json())
    assert bodies[0] == bodies[1]
    assert next_label(scene, scene.destination) == next_label(scene, scene.source)
    missing = httpx.get(f"{scene.destination.url}/api/node/{other}/{INSTANCE}/nextlabel")
    assert missing.status_code == 400
