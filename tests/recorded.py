"""A recording on stage: its records on a broker, a server that answers as its source did, a copy."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import orjson
from kafka import KafkaProducer

from dvid_sandbox.launcher import DvidServer, SandboxServer
from dvid_sandbox.replay import Replay
from dvidsync_dagster.config import SyncConfig
from tests.recordings import Recording
from tests.state import differences, read_state

INSTANCE = "segmentation"
ADMIN_TOKEN = "a token of the test"
ADMIN_TOKEN_ENV = "DVIDSYNC_TEST_ADMIN_TOKEN"


def set_up(recording: Recording, folder: Path) -> Path:
    """The folder of a sandbox server in the recording's state before."""
    server = SandboxServer.start(folder, admin_token=ADMIN_TOKEN, min_mutation_id=1_000_000_000)
    replay = Replay(server.url, recording, ADMIN_TOKEN)
    replay.set_up()
    replay.close()
    server.stop()
    return folder


def publish(recording: Recording, broker: str, partitions: int) -> None:
    """The recording's records on a broker, each in its partition as far as there are so many."""
    producer = KafkaProducer(bootstrap_servers=broker, batch_size=0, enable_idempotence=False)
    try:
        for record in sorted(recording.kafka, key=lambda record: int(record["offset"])):
            producer.send(
                record["topic"],
                key=record["key"].encode(),
                value=record["value"].encode(),
                partition=record["partition"] % partitions,
                timestamp_ms=record["timestamp"],
            )
        producer.flush()
    finally:
        producer.close()


class RecordedSource:
    """Answers what a run asks of its source. Everything else is 404, and changes are counted as `written`."""

    def __init__(self, recording: Recording, broker: str, info: dict[str, Any]) -> None:
        self.recording = recording
        self.written = 0
        self.answers = {
            "/api/server/info": self._server_info(broker),
            f"/api/repo/{recording.root}/info": _repo_info(recording, info),
            f"/api/node/{recording.root}/{INSTANCE}/nextlabel": {"nextlabel": self._next_label()},
        }
        source = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                source.answer(self)

            def do_POST(self) -> None:
                source.written += 1
                self.send_error(400)

            def log_message(self, *_: object) -> None: ...

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = unquote(request.path.partition("?")[0])
        body = request.rfile.read(int(request.headers.get("Content-Length", "0")))
        blob = self.recording.blobs.get(path.rpartition("/")[2]) if "/blobstore/" in path else None
        answer = self.answers.get(path, self._of_labels(path, body))
        found = blob if blob is not None else b"" if answer is None else orjson.dumps(answer)
        request.send_response(200 if found else 404)
        request.send_header("Content-Type", "application/octet-stream" if blob else "application/json")
        request.send_header("Content-Length", str(len(found)))
        request.end_headers()
        request.wfile.write(found)

    def _of_labels(self, path: str, body: bytes) -> object:
        """What is asked where the log alone does not tell: as the recording ended, each body as it was before
        it was changed."""
        match = re.fullmatch(rf"/api/node/([^/]+)/{INSTANCE}/(lastmod|mapping|maxlabel)(?:/(\d+))?", path)
        state = self.recording.after["data"].get(f"{match[1]}/{INSTANCE}") if match else None
        if match is None or state is None:
            return None
        if match[2] == "maxlabel":
            return {"maxlabel": max(map(int, (*state["labels"], *state["mapping"])))}
        if match[2] == "mapping":
            return [state["mapping"].get(str(label), label) for label in orjson.loads(body)]
        last = {"mutation id": 0, "last mod user": "", "last mod app": "", "last mod time": ""}
        return last if match[3] in state["labels"] else None

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def _server_info(self, broker: str) -> dict[str, str]:
        last = max(int(record["key"]) for record in self.recording.kafka)
        clock = datetime.fromtimestamp(last / 1e9 + 60, UTC).strftime("%Y-%m-%d %H:%M:%S.000000000 +0000 UTC")
        topic = self.recording.kafka[0]["topic"]
        prefix = topic[: topic.index("dvidrepo-")]
        return {"Kafka Servers": broker, "Kafka Topic Prefix": prefix, "Server time": clock}

    def _next_label(self) -> int:
        labels: list[int] = [
            state["nextlabel"]
            for place, state in self.recording.after["data"].items()
            if place.endswith(INSTANCE)
        ]
        return max(labels)


def _repo_info(recording: Recording, info: dict[str, Any]) -> dict[str, Any]:
    """The copy's info with the source's data UUIDs and its versions at the end."""
    for name, data_uuid in recording.data.items():
        info["DataInstances"][name]["Base"]["DataUUID"] = data_uuid
    if any('"setnextlabel"' in record["value"] for record in recording.kafka):
        ends = recording.after["data"][f"{recording.root}/{INSTANCE}"]
        info["DataInstances"][INSTANCE]["Extended"]["NextLabel"] = ends["nextlabel"] - 1
    numbers = {uuid: number for number, uuid in enumerate(recording.after["versions"], 1)}
    lines = {
        line: record["key"]
        for record in recording.kafka
        for line in orjson.loads(record["value"]).get("Log") or []
    }
    info["DAG"]["Nodes"] = {
        uuid: {
            "VersionID": numbers[uuid],
            "Parents": [numbers[parent] for parent in version["parents"]],
            "Branch": version["branch"],
            "Locked": version["locked"],
            "Note": version["note"],
            "Log": [f"{_iso(lines[line])}  {line}" for line in version["log"]],
        }
        for uuid, version in recording.after["versions"].items()
    }
    return info


def _iso(key: str) -> str:
    return datetime.fromtimestamp(int(key) // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class RecordedStage:
    """A recording's log, its source in the end, and a sandbox copy in the state before."""

    recording: Recording
    source: RecordedSource
    destination: DvidServer

    def fields(self, chunk_records: int = 20_000) -> dict[str, Any]:
        """The configuration, as JSON."""
        return {
            "source": {"url": self.source.url},
            "repo": self.recording.root,
            "instances": [INSTANCE],
            "settle_seconds": 0,
            "chunk_records": chunk_records,
            "destinations": [
                {
                    "name": "copy",
                    "url": self.destination.url,
                    "start": "beginning",
                    "admin_token_env": ADMIN_TOKEN_ENV,
                }
            ],
        }

    def config(self, chunk_records: int = 20_000) -> SyncConfig:
        return SyncConfig.model_validate(self.fields(chunk_records))

    def differences(self) -> list[str]:
        """What is not as the recording ended: versions, labels with sizes, mapping, counter."""
        after = self.recording.after
        data = {place: state for place, state in after["data"].items() if place.endswith(f"/{INSTANCE}")}
        state = read_state(self.destination.url, self.recording.root, instances=[INSTANCE])
        return differences({"versions": after["versions"], "data": data}, state)

    def assert_as_recorded(self) -> None:
        assert self.differences() == []
        assert self.source.written == 0


@contextmanager
def recorded_stage(
    recording: Recording, prepared: Path, folder: Path, broker: str
) -> Iterator[RecordedStage]:
    """`prepared` is what `set_up` made, `broker` where `publish` put the records."""
    stopped = SandboxServer.start(prepared, admin_token=ADMIN_TOKEN)
    info = httpx.get(f"{stopped.url}/api/repo/{recording.root}/info").json()
    stopped.stop()
    source = RecordedSource(recording, broker, info)
    try:
        with SandboxServer.start(stopped.copy_to(folder), admin_token=ADMIN_TOKEN) as copy:
            yield RecordedStage(recording, source, copy)
    finally:
        source.close()
