"""Plays a recording of a real DVID to another server, and compares what comes back."""

from __future__ import annotations

import base64
import io
import re
import tarfile
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
import orjson

from dvid_sandbox.recording import Recording

TIME_PATTERNS = (
    # Go's time.Now().String(), and what is left of it in a JSON text.
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? \+0000 UTC m=\+\d+\.\d+"), "GO-TIME"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "TIME"),
)
# Go ranges over maps in random order, so lists made of one differ from run to run on the real server, too.
UNORDERED_ANSWERS = re.compile(r"/supervoxels/\d+$")
UNORDERED_FIELDS = ("Labels",)
# What a server says of its machine and its build.
SERVERS_OWN = ("/api/server/info",)


def without_times(text: str) -> str:
    for pattern, name in TIME_PATTERNS:
        text = pattern.sub(name, text)
    return text


@dataclass
class Replay:
    """A recording played to the server at `url`. UUIDs that a server makes up are mapped."""

    url: str
    recording: Recording
    admin_token: str
    recorded: dict[str, str] = field(default_factory=dict)
    """Recorded UUID by this server's."""

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=self.url, timeout=120)

    def close(self) -> None:
        self.client.close()

    def as_recorded(self, text: str) -> str:
        for mine, theirs in self.recorded.items():
            text = text.replace(mine, theirs)
        return text

    def as_here(self, text: str) -> str:
        for mine, theirs in self.recorded.items():
            text = text.replace(theirs, mine)
        return text.replace("admintoken=adm", f"admintoken={self.admin_token}")

    def send(self, exchange: dict[str, Any]) -> httpx.Response:
        body = exchange["request"]
        content = base64.b64decode(body["base64"]) if isinstance(body, dict) else self.as_here(body).encode()
        return self.client.request(exchange["method"], self.as_here(exchange["path"]), content=content)

    def set_up(self) -> None:
        """Makes the repo as it was made for the recording, voxels included."""
        for exchange in self.recording.setup["exchanges"]:
            if exchange["path"].startswith("/api/repos?"):
                body = orjson.loads(exchange["request"]) | {"root": self.recording.root}
                exchange = exchange | {"request": orjson.dumps(body).decode()}
            self.send(exchange).raise_for_status()
        self.learn_data_uuids()
        self.post_volume()

    def learn_data_uuids(self) -> None:
        info = self.client.get(f"/api/repo/{self.recording.root}/info").json()
        for name, instance in info["DataInstances"].items():
            if name in self.recording.data:
                self.recorded[instance["Base"]["DataUUID"]] = self.recording.data[name]

    def post_volume(self) -> None:
        size, cube = self.recording.setup["repo"]["size"], self.recording.setup["repo"]["cube"]
        along = size // cube
        ids = np.arange(1, along**3 + 1, dtype="<u8").reshape(along, along, along)
        volume = ids.repeat(cube, 0).repeat(cube, 1).repeat(cube, 2)
        path = f"/api/node/{self.recording.root}/segmentation/raw/0_1_2/{size}_{size}_{size}/0_0_0"
        self.client.post(path, content=volume.tobytes()).raise_for_status()

    def compare(self, exchange: dict[str, Any]) -> list[str]:
        """Sends one request; says what is not as recorded."""
        answer = self.send(exchange)
        self._learn_child(exchange, answer)
        path = exchange["path"].partition("?")[0]
        found = []
        if answer.status_code != exchange["status"]:
            found.append(f"status {answer.status_code}, not {exchange['status']}: {answer.text[:300]}")
        if answer.headers.get("content-type") != exchange["content_type"]:
            found.append(f"type {answer.headers.get('content-type')}, not {exchange['content_type']}")
        found += self._other_content(path, exchange, answer)
        return [f"{exchange['method']} {path}: {each}" for each in found]

    def _other_content(self, path: str, exchange: dict[str, Any], answer: httpx.Response) -> list[str]:
        recorded = exchange["response"]
        if path in SERVERS_OWN:
            return [f"no {key}" for key in orjson.loads(recorded).keys() - answer.json().keys()]
        if isinstance(recorded, dict):
            return _other_bytes(exchange, answer, base64.b64decode(recorded["base64"]))
        got, wanted = without_times(self.as_recorded(answer.text)), without_times(recorded)
        if path.endswith("/info"):
            same = _sorted_keys(got) == _sorted_keys(wanted)
        elif UNORDERED_ANSWERS.search(path) and answer.status_code == 200:
            same = sorted(orjson.loads(got)) == sorted(orjson.loads(wanted))
        else:
            same = got == wanted
        return [] if same else [f"answer\n   {got}\nnot\n   {wanted}"]

    def _learn_child(self, exchange: dict[str, Any], answer: httpx.Response) -> None:
        if answer.status_code == 200 and exchange["path"].partition("?")[0].endswith(
            ("newversion", "branch")
        ):
            self.recorded[answer.json()["child"]] = orjson.loads(exchange["response"])["child"]
        if answer.status_code == 200 and exchange["path"].partition("?")[0].endswith("/instance"):
            name = orjson.loads(exchange["request"])["dataname"]
            info = self.client.get(f"/api/repo/{self.recording.root}/info").json()
            mine = info["DataInstances"][name]["Base"]["DataUUID"]
            self.recorded[mine] = _recorded_data_uuid(self.recording, name)


def _recorded_data_uuid(recording: Recording, name: str) -> str:
    for exchange in recording.http:
        if exchange["path"] == "/api/repos/info":
            for repo in orjson.loads(exchange["response"]).values():
                if name in repo["DataInstances"]:
                    return str(repo["DataInstances"][name]["Base"]["DataUUID"])
    raise LookupError(f"no data UUID of {name} in the recording")


def _other_bytes(exchange: dict[str, Any], answer: httpx.Response, wanted: bytes) -> list[str]:
    in_tar = exchange["content_type"] == "application/tar"
    if unpacked(answer) == (unpacked_tar(wanted) if in_tar else wanted):
        return []
    return [f"other bytes: {answer.content[:200]!r}, not {wanted[:200]!r}"]


def _sorted_keys(text: str) -> bytes:
    return orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS)


def unpacked(answer: httpx.Response) -> Any:
    """Text; or bytes; or a tar's names, modes and contents (its headers hold more than anybody reads)."""
    kind = answer.headers.get("content-type", "")
    if kind == "application/tar":
        return unpacked_tar(answer.content)
    return answer.content if kind == "application/octet-stream" else answer.text


def unpacked_tar(content: bytes) -> list[tuple[str, int, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return [
            (entry.name, entry.mode, file.read() if (file := archive.extractfile(entry)) else b"")
            for entry in archive
        ]


def normalized(value: str) -> str:
    """A message's text with what differs from run to run on the real server, too, made equal."""
    message = orjson.loads(value)
    for name in UNORDERED_FIELDS:
        if isinstance(message.get(name), list):
            message[name] = sorted(message[name])
    return without_times(orjson.dumps(message).decode())
