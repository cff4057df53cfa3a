"""A source and a copy of it that nothing keeps up to date, to be edited on either side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from dvid_sandbox.launcher import DvidServer, SandboxServer
from dvid_sandbox.proofreaders import make_repo
from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.dvid.protobuf import key_values
from tests.state import contradictions, differences, read_state

TOKEN_ENV = "DVIDSYNC_TEST_ADMIN_TOKEN"
LABELS, KEYS, NEURONS, SYNAPSES = "segmentation", "segmentation_annotations", "neurons", "synapses"


@dataclass(frozen=True)
class Editor:
    """Edits one server behind everybody's back."""

    server: DvidServer
    root: str

    def post(self, path: str, body: Any = None, *, version: str | None = None, **query: str) -> Any:
        return self._send("POST", path, body, version, query)

    def delete(self, path: str, *, version: str | None = None, **query: str) -> Any:
        return self._send("DELETE", path, None, version, query)

    def get(self, path: str, *, version: str | None = None, **query: str) -> Any:
        return self._send("GET", path, None, version, query)

    def _send(self, method: str, path: str, body: Any, version: str | None, query: dict[str, str]) -> Any:
        content = body if isinstance(body, bytes) else None
        answer = httpx.request(
            method,
            f"{self.server.url}/api/node/{version or self.root}/{path}",
            params={"u": "amy", "app": "neu3", "admintoken": self.server.admin_token, **query},
            content=content,
            json=None if content is not None else body,
        )
        assert answer.status_code == 200, answer.text
        try:
            return answer.json() if answer.content else None
        except ValueError:
            return answer.content

    def merge(self, *labels: int) -> None:
        self.post(f"{LABELS}/merge", list(labels))

    def cleave(self, label: int, *supervoxels: int) -> int:
        return int(self.post(f"{LABELS}/cleave/{label}", list(supervoxels))["CleavedLabel"])

    def renumber(self, new: int, old: int) -> None:
        self.post(f"{LABELS}/renumber", [new, old])

    def put(self, **values: bytes) -> None:
        self.post(f"{KEYS}/keyvalues", key_values(list(values.items())))

    def neuron(self, body: int, **fields: Any) -> None:
        self.post(f"{NEURONS}/key/{body}", {"bodyid": body, **fields}, replace="true")

    def element(self, x: int, y: int, z: int, kind: str = "PreSyn", *, to: list[int] | None = None) -> None:
        relations = [{"Rel": "PreSynTo", "To": to}] if to else []
        element = {
            "Pos": [x, y, z],
            "Kind": kind,
            "Tags": ["a", "b"],
            "Prop": {"conf": "1"},
            "Rels": relations,
        }
        self.post(f"{SYNAPSES}/elements", [element], kafkalog="off")

    def commit(self, note: str = "done", *, version: str | None = None) -> None:
        self.post("commit", {"note": note, "log": ["one", "two"]}, version=version)

    def new_version(self, parent: str) -> str:
        return str(self.post("newversion", {"note": "child"}, version=parent)["child"])

    def branch(self, parent: str, name: str) -> str:
        return str(self.post("branch", {"branch": name, "note": name}, version=parent)["child"])


@dataclass(frozen=True)
class TwoServers:
    source: Editor
    destination: Editor

    @property
    def root(self) -> str:
        return self.source.root

    def config(self, *, admin: bool = True, own: list[str] | None = None, **changes: Any) -> SyncConfig:
        """One destination named `copy`; its admin token is in `TOKEN_ENV`."""
        destination = {
            "name": "copy",
            "url": self.destination.server.url,
            "start": "beginning",
            "own": own or [],
        }
        if admin:
            destination["admin_token_env"] = TOKEN_ENV
        fields = {
            "source": {"url": self.source.server.url},
            "repo": self.root,
            "destinations": [destination],
            **changes,
        }
        return SyncConfig.model_validate(fields)

    def differences(self, *, next_labels: bool = True) -> list[str]:
        """What differs, as the tests' own reader of states finds it."""
        one, other = (
            read_state(editor.server.url, self.root, editor.server.admin_token)
            for editor in (self.source, self.destination)
        )
        return differences(one, other, ignore_times=False, next_labels=next_labels)

    def contradictions(self) -> list[str]:
        """Where mapping and indices of the destination disagree."""
        server = self.destination.server
        return contradictions(read_state(server.url, self.root, server.admin_token, indices=True))


def fill(editor: Editor) -> None:
    """Something of each data type; 64 bodies of one supervoxel each are there."""
    editor.merge(1, 2, 3)
    editor.merge(5, 6)
    editor.put(a=b"1", b=b"", c=bytes(1000), **{"odd key#?%+/é": b"odd"})
    editor.neuron(1, type="A", size=7)
    editor.neuron(2, type="B")
    editor.element(1, 1, 1, to=[20, 20, 20])
    editor.element(20, 20, 20, "PostSyn")


def edit_parent_and_child(servers: TwoServers) -> str:
    """People at the destination change bodies of the root and of a child, in which they meet; the child."""
    source, copy = servers.source, servers.destination
    copy.merge(10, 11)
    copy.renumber(70, 20)
    copy.cleave(5, 6)
    for editor in (source, copy):
        editor.commit()
    child = source.new_version(servers.root)
    copy.post("newversion", {"note": "child", "uuid": child})
    # The source gives further ids than the destination has.
    source.post(f"{LABELS}/nextlabel/20", version=child)
    # As at the source, by another way.
    source.post(f"{LABELS}/merge", [30, 10, 11], version=child)
    copy.post(f"{LABELS}/merge", [30, 10], version=child)
    # Of their own.
    copy.post(f"{LABELS}/merge", [70, 21], version=child)
    copy.post(f"{LABELS}/merge", [41, 5], version=child)
    return child


@contextmanager
def two_sandboxes(folder: Path) -> Iterator[TwoServers]:
    """A sandbox with 64 bodies of 16^3 voxels and something of each data type, and a copy of its folder."""
    source = SandboxServer.start(folder / "source")
    try:
        root = make_repo(source.url, source.admin_token, size=64, cube=16).root
        fill(Editor(source, root))
        source.stop()
        copied = source.copy_to(folder / "copy")
        source.restart()
        with SandboxServer.start(copied) as copy:
            yield TwoServers(Editor(source, root), Editor(copy, root))
    finally:
        source.stop()
