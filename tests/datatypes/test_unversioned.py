"""An instance without versions: whatever version people write in, all versions share it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from dvidsync_dagster.compare.comparison import compare
from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.log.checkpoint import Checkpoint
from tests.one_run import followed
from tests.stage import Stage, stage

NAME = "meshes"


class Scene:
    """A source with such an instance, and one destination that follows in runs."""

    def __init__(self, servers: Stage, folder: Path) -> None:
        self.servers = servers
        self._folder = folder
        self._checkpoint: Checkpoint | None = None
        fields = {"typename": "keyvalue", "dataname": NAME, "versioned": "false"}
        self._post(f"/api/repo/{servers.root}/instance", fields)

    def put(self, version: str, key: str, value: bytes) -> None:
        url = f"{self.servers.source.url}/api/node/{version}/{NAME}/key/{key}"
        httpx.post(url, content=value).raise_for_status()

    def commit_and_go_on(self) -> tuple[str, str]:
        """The next version, and one of another branch."""
        node = f"/api/node/{self.servers.root}"
        self._post(f"{node}/commit", {"note": "done", "log": []})
        child = self._post(f"{node}/newversion", {"note": "child"})["child"]
        return child, self._post(f"{node}/branch", {"note": "side", "branch": "side"})["child"]

    def follow(self, **destination: Any) -> SyncConfig:
        fields = {**self.servers.fields(), "settle_seconds": 0, "quarantine": str(self._folder / "kept")}
        if destination:
            fields["destinations"] = [destination]
        config = self.servers.config(**fields)
        reports = followed(config, checkpoint=self._checkpoint)
        assert not [row.found for report in reports for row in report.conflicts]
        self._checkpoint = reports[-1].checkpoint
        return config

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        answer = httpx.post(f"{self.servers.source.url}{path}", json=body)
        answer.raise_for_status()
        return answer.json() if answer.content else None


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr("dvidsync_dagster.destinations.dvid_server.server.REST_SECONDS", 0.01)
    with stage(tmp_path) as servers:
        yield Scene(servers, tmp_path)


@pytest.mark.parametrize("kind", ["server", "bucket"])
def test_it_is_written_in_versions_of_several_branches(scene: Scene, tmp_path: Path, kind: str) -> None:
    fields = {"name": "cloud", "bucket": str(tmp_path / "bucket")} if kind == "bucket" else {}
    root = scene.servers.root
    scene.put(root, "k", b"1")
    scene.follow(**fields)
    child, side = scene.commit_and_go_on()
    scene.follow(**fields)
    for number, version in enumerate((child, side, root, child)):
        scene.put(version, "k", b"changed %d" % number)
        scene.put(version, f"new-{number}", b"1")
        config = scene.follow(**fields)
        comparison = compare(config, config.destinations[0])
        assert comparison.agree, comparison.differences


def test_it_is_followed_also_where_the_branch_is_not(scene: Scene) -> None:
    scene.put(scene.servers.root, "k", b"1")
    _, side = scene.commit_and_go_on()
    scene.put(side, "k", b"2")
    config = scene.servers.config(branches=["master"])
    followed(config)
    assert side not in httpx.get(f"{scene.servers.destination.url}/api/repos/info").text
    url = f"{scene.servers.destination.url}/api/node/{scene.servers.root}/{NAME}/key/k"
    assert httpx.get(url).content == b"2"
