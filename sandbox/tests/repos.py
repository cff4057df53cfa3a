"""A repo on a sandbox server, and what the tests ask it."""

from __future__ import annotations

from typing import Any

import httpx

from dvid_sandbox.launcher import SandboxServer


class Repo:
    """A repo on a sandbox server: a labelmap of 8³ cubes of 16³ voxels, and one of each other type."""

    def __init__(self, server: SandboxServer) -> None:
        self.server = server
        answer = self.send("POST", f"/api/repos?admintoken={server.admin_token}", {"alias": "test"})
        self.root: str = answer.json()["root"]
        for type_name in ("labelmap", "keyvalue", "neuronjson", "annotation"):
            config = {"typename": type_name, "dataname": type_name}
            self.send("POST", f"/api/repo/{self.root}/instance", config).raise_for_status()
        server.put_cubes(self.root, "labelmap", size=128, cube=16)

    def send(self, method: str, path: str, body: Any = None) -> httpx.Response:
        return httpx.request(method, self.server.url + path, json=body, timeout=30)

    def labels(self, method: str, endpoint: str, body: Any = None) -> httpx.Response:
        return self.send(method, f"/api/node/{self.root}/labelmap/{endpoint}", body)

    def bodies_of(self, *supervoxels: int) -> list[int]:
        bodies: list[int] = self.labels("GET", "mapping", list(supervoxels)).json()
        return bodies

    def supervoxels_of(self, label: int) -> list[int] | None:
        answer = self.labels("GET", f"supervoxels/{label}")
        return None if answer.status_code == 404 else sorted(answer.json())

    @property
    def next_label(self) -> int:
        number: int = self.labels("GET", "nextlabel").json()["nextlabel"]
        return number
