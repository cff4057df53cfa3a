"""Who may do what."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from dvid_sandbox.launcher import SandboxServer
from repos import Repo


def test_a_server_with_a_token_lets_only_its_bearers_in(tmp_path: Path) -> None:
    with SandboxServer.start(tmp_path, token="open sesame") as server:
        created = httpx.post(f"{server.url}/api/repos?admintoken={server.admin_token}", json={})
        path = f"{server.url}/api/repo/{created.json()['root']}/info"
        assert httpx.get(f"{server.url}/api/server/info").status_code == 200
        assert "JWT required" in httpx.get(path).text
        assert httpx.get(path, headers={"Authorization": "Bearer wrong"}).status_code == 400
        assert httpx.get(path, headers={"Authorization": "Bearer open sesame"}).status_code == 200
        assert httpx.get(path, cookies={"dsg_token": "open sesame"}).status_code == 200


@pytest.mark.parametrize("token", ["", "wrong"])
def test_admin_calls_need_the_admin_token(repo: Repo, token: str) -> None:
    assert repo.labels("POST", f"set-nextlabel/9000?admintoken={token}").status_code == 400
    assert repo.labels("POST", f"maxlabel/9000?admintoken={token}").status_code == 400
    assert repo.send("GET", f"/api/server/config?admintoken={token}").status_code == 400
    assert repo.send("GET", "/api/server/config?admintoken=adm").status_code == 200


def test_renaming_and_deleting_an_instance(repo: Repo) -> None:
    rename = {"uuid": repo.root, "from": "keyvalue", "to": "renamed"}
    repo.send("POST", f"/api/node/{repo.root}/keyvalue/key/a", 1).raise_for_status()
    repo.send("POST", "/sandbox/rename", rename).raise_for_status()
    assert repo.send("GET", f"/api/node/{repo.root}/renamed/keys").json() == ["a"]
    assert repo.send("GET", f"/api/node/{repo.root}/keyvalue/keys").status_code == 400
    repo.send("POST", "/sandbox/delete", {"uuid": repo.root, "data": "renamed"}).raise_for_status()
    repo.server.kill()
    repo.server.restart()
    instances = repo.send("GET", f"/api/repo/{repo.root}/info").json()["DataInstances"]
    assert sorted(instances) == ["annotation", "labelmap", "neuronjson"]
