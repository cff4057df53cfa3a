"""On a real server: what it tells of instances, and which it can be asked for."""

from __future__ import annotations

import httpx
import pytest

from dvid_sandbox.proofreaders import make_repo
from dvid_sandbox.real_server import RealServer
from dvidsync_dagster.dvid.http import DvidClient
from dvidsync_dagster.dvid.paths import node_path
from dvidsync_dagster.dvid.repo import read_repo_info

pytestmark = pytest.mark.dvid

SECOND = 1_000_000_000


class Scene:
    """A repo of its own, with a client."""

    def __init__(self, server: RealServer) -> None:
        self.url = server.url
        self.root = make_repo(server.url, server.admin_token, size=64, cube=16).root

    def make(self, name: str, version: str | None = None) -> None:
        settings = {"dataname": name, "typename": "keyvalue"}
        url = f"{self.url}/api/repo/{version or self.root}/instance"
        httpx.post(url, json=settings).raise_for_status()


@pytest.fixture
def scene(real_dvid: RealServer) -> Scene:
    return Scene(real_dvid)


def test_an_instance_is_one_of_the_whole_repo_and_tells_where_it_was_made(scene: Scene) -> None:
    node = f"{scene.url}/api/node/{scene.root}"
    httpx.post(f"{node}/commit", json={"note": "done"}).raise_for_status()
    child = httpx.post(f"{node}/newversion", json={"note": "next"}).raise_for_status().json()["child"]
    scene.make("more", child)
    with DvidClient(scene.url) as client:
        repo = read_repo_info(client, scene.root)
    assert repo.instances["segmentation"].made_in == scene.root
    assert repo.instances["more"].made_in == child
    keys = httpx.get(f"{node}/more/keys")
    assert (keys.status_code, keys.json()) == (200, [])


def test_all_versions_share_an_instance_without_versions(scene: Scene) -> None:
    settings = {"dataname": "shared", "typename": "keyvalue", "versioned": "false"}
    httpx.post(f"{scene.url}/api/repo/{scene.root}/instance", json=settings).raise_for_status()
    node = f"{scene.url}/api/node/{scene.root}"
    httpx.post(f"{node}/commit", json={"note": "done"}).raise_for_status()
    child = httpx.post(f"{node}/newversion", json={"note": "next"}).raise_for_status().json()["child"]
    with DvidClient(scene.url) as client:
        assert not read_repo_info(client, scene.root).instances["shared"].is_versioned
    for written_in in (child, scene.root):
        key = f"{scene.url}/api/node/{written_in}/shared/key/k"
        httpx.post(key, content=written_in.encode()).raise_for_status()
        for read_in in (child, scene.root):
            found = httpx.get(f"{scene.url}/api/node/{read_in}/shared/key/k")
            assert found.text == written_in


@pytest.mark.parametrize("name", ["a b", 'quoted "name" \\', "é%2F", "x?y#z"])
def test_the_repo_s_log_tells_when_an_instance_was_made_whatever_its_name(scene: Scene, name: str) -> None:
    scene.make(name)
    with DvidClient(scene.url) as client:
        repo = read_repo_info(client, scene.root)
        made = repo.born(name)
        assert made
        assert made % SECOND == 0
        assert repo.births(name) == [made]
        info = client.read_json(node_path(scene.root, name, "info"))
    assert info["Base"]["DataUUID"] == repo.instances[name].data_uuid


@pytest.mark.parametrize("name", ["", ".", "..", "segmentation/mapping", "a//b"])
def test_some_names_can_be_given_and_not_be_asked_for(scene: Scene, name: str) -> None:
    scene.make(name)
    with DvidClient(scene.url) as client:
        repo = read_repo_info(client, scene.root)
    assert name in repo.instances
    path = node_path(scene.root, name, "info")
    answer = httpx.get(f"{scene.url}{path}")
    told = answer.json()["Base"]["DataUUID"] if answer.status_code == 200 else None
    assert told != repo.instances[name].data_uuid
