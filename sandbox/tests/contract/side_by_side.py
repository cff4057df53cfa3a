"""The same requests to two servers, whose answers are compared."""

from __future__ import annotations

import re
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
import orjson

from dvid_sandbox.replay import unpacked, without_times

# Where a server keeps its data is its own affair.
STORE_PATH = re.compile(r"@ /[^\"]*")
HOST = re.compile(r"http://[^/]*/")


@dataclass
class Side:
    """One server and a repo in it. `names` gives a name, the same on both sides, by UUID."""

    url: str
    admin_token: str
    names: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=self.url, timeout=60)

    def neutral(self, text: str) -> str:
        for uuid, name in self.names.items():
            text = text.replace(uuid, name)
        return HOST.sub("http://HOST/", STORE_PATH.sub("@ STORE", without_times(text)))

    def own(self, text: str) -> str:
        for uuid, name in self.names.items():
            text = text.replace(name, uuid)
        return text

    def send(
        self, method: str, path: str, body: bytes, admin: bool, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        path = self.own(path)
        if admin:
            path += ("&" if "?" in path else "?") + f"admintoken={self.admin_token}"
        content = self.own(body.decode("latin-1")).encode("latin-1")
        return self.client.request(method, path, content=content, headers=headers)


class Both:
    """Two sides. `found` collects what differs, as text."""

    def __init__(self, one: Side, other: Side) -> None:
        self.sides = one, other
        self.found: list[str] = []

    def make_repo(self, size: int, cube: int) -> None:
        """A repo <ROOT> with one instance of each type, the labelmap filled with cubes numbered from 1."""
        for side in self.sides:
            answer = side.send("POST", "/api/repos", b'{"alias": "both", "description": ""}', admin=True)
            side.names[answer.json()["root"]] = "<ROOT>"
        for type_name, name in (
            ("labelmap", "segmentation"),
            ("keyvalue", "kv"),
            ("neuronjson", "neurons"),
            ("annotation", "synapses"),
        ):
            config = {"typename": type_name, "dataname": name}
            if type_name == "labelmap":
                config["MaxDownresLevel"] = "0"
            self("POST", "/api/repo/<ROOT>/instance", config)
        for side in self.sides:
            info = side.send("GET", "/api/repo/<ROOT>/info", b"", admin=False).json()
            for name, instance in info["DataInstances"].items():
                side.names[instance["Base"]["DataUUID"]] = f"<DATA {name}>"
        along = size // cube
        ids = np.arange(1, along**3 + 1, dtype="<u8").reshape(along, along, along)
        volume = ids.repeat(cube, 0).repeat(cube, 1).repeat(cube, 2).tobytes()
        self(
            "POST",
            f"/api/node/<ROOT>/segmentation/raw/0_1_2/{size}_{size}_{size}/0_0_0",
            volume,
        )

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = b"",
        *,
        admin: bool = False,
        unordered: bool = False,
        only_status: bool = False,
        names_child: str | None = None,
        headers: Mapping[str, str] | None = None,
        told: tuple[str, ...] = (),
        shown_as: Callable[[bytes], object] | None = None,
    ) -> None:
        """Sends a request to both and compares status, content type and body.

        Args:
            path: UUIDs by their names, such as <ROOT>.
            body: bytes, or something for JSON.
            unordered: the answer is a JSON list in no order.
            only_status: the words of the answer are those of Go's JSON package.
            names_child: a name for the UUID of the child version in the answer.
            headers: of the request.
            told: headers of the answer that are compared, too.
            shown_as: what is compared of the content of a good answer.
        """
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        answers = [side.send(method, path, content, admin, headers) for side in self.sides]
        seen = []
        for side, answer in zip(self.sides, answers, strict=True):
            if names_child is not None:
                side.names[answer.json()["child"]] = names_child
            plain = shown_as is None or not answer.is_success
            shown = side.neutral(str(unpacked(answer))) if plain else ""
            if only_status:
                shown = ""
            if unordered and answer.status_code == 200:
                shown = str(sorted(orjson.loads(answer.content)))
            if not plain and shown_as is not None:
                shown = str(shown_as(answer.content))
            heads = [answer.headers.get(name) for name in ("content-type", *told)]
            seen.append((answer.status_code, *heads, shown))
        if seen[0] != seen[1]:
            asked = content[:200].decode("utf-8", "backslashreplace")
            self.found.append(f"{method} {path} {asked}\n  {seen[0]}\n  {seen[1]}")


def box(x: int, y: int, z: int, size: tuple[int, int, int]) -> bytes:
    """A sparse volume: a box of voxels, with the header of the split requests."""
    runs = [(x, y + row, z + plane, size[0]) for plane in range(size[2]) for row in range(size[1])]
    return struct.pack("<BBBBII", 0, 3, 0, 0, 0, len(runs)) + np.array(runs, "<i4").tobytes()


def look(both: Both, labels: range | list[int], version: str = "<ROOT>") -> None:
    """Everything that can be asked about some labels."""
    path = f"/api/node/{version}/segmentation"
    for label in labels:
        both("GET", f"{path}/supervoxels/{label}", unordered=True)
        both("GET", f"{path}/size/{label}")
        both("GET", f"{path}/size/{label}?supervoxels=true")
        both("GET", f"{path}/lastmod/{label}")
    both("GET", f"{path}/mapping", list(labels))
    both("GET", f"{path}/sizes", list(labels))
    both("GET", f"{path}/sizes?supervoxels=true", list(labels))
    both("GET", f"{path}/nextlabel")
    both("GET", f"{path}/maxlabel")
    both("GET", f"{path}/existing-labels")
    both("GET", f"{path}/listlabels?sizes=true&start=5&number=7")


def settle(both: Both, path: str) -> None:
    """Waits until the real server has made its lower resolutions, which it does behind its answer."""
    one, other = (side.send("GET", path, b"", admin=False).content for side in both.sides)
    deadline = time.monotonic() + 10
    while one != other and time.monotonic() < deadline:
        time.sleep(0.05)
        one = both.sides[0].send("GET", path, b"", admin=False).content
