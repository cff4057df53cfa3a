"""On real servers: records that name what the source does not have, bodies that the copy never had, an
administrator's late changes, an instance made anew, one server under two names."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from dvid_sandbox.real_server import dvid_binary
from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.dvid.asking import is_one_server
from dvidsync_dagster.dvid.http import DvidClient
from dvidsync_dagster.errors import ConfigurationError, Conflict
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.run.report import ChunkReport
from tests.forging import forge
from tests.one_run import followed
from tests.real.harness import Stage
from tests.real.test_follow import TOKEN, on_stage
from tests.real_kafka import RealKafka

pytestmark = [pytest.mark.dvid, pytest.mark.kafka]

LABELS, KEYS = "segmentation", "segmentation_annotations"


class Copying:
    """A stage, and runs that go on where the last one ended."""

    def __init__(self, scene: Stage) -> None:
        self.scene = scene
        self.checkpoint: Checkpoint | None = None

    def run(self, *, on_conflict: str = "stop", **settings: Any) -> list[ChunkReport]:
        start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.scene.copied_at - 1))
        copy = {"name": "copy", "url": self.scene.destination.url, "admin_token_env": TOKEN}
        fields = {
            "source": {"url": self.scene.source.url},
            "repo": self.scene.root,
            "settle_seconds": 0,
            "destinations": [{**copy, "start": {"time": start}, "on_conflict": on_conflict}],
            **settings,
        }
        reports = followed(SyncConfig.model_validate(fields), checkpoint=self.checkpoint)
        self.checkpoint = reports[-1].checkpoint
        return reports

    def post(self, path: str, *, version: str | None = None, admin: bool = False, **what: Any) -> Any:
        query = {"u": "amy", **({"admintoken": self.scene.source.admin_token} if admin else {})}
        url = f"{self.scene.source.url}/api/node/{version or self.scene.root}/{path}"
        answer = httpx.post(url, params=query, **what)
        answer.raise_for_status()
        return answer


@pytest.fixture
def copying(tmp_path: Path, real_kafka: RealKafka, monkeypatch: pytest.MonkeyPatch) -> Iterator[Copying]:
    with on_stage(tmp_path, real_kafka, monkeypatch, {"merge": 1.0}, seed=20, before=3) as scene:
        yield Copying(scene)


def test_records_that_name_what_the_source_does_not_have(copying: Copying) -> None:
    scene = copying.scene
    copy = scene.destination
    made = httpx.post(
        f"{copy.url}/api/repos", params={"admintoken": copy.admin_token}, json={"alias": "other"}
    )
    other = made.json()["root"]
    scene.work(3)
    scene.flush()
    copying.run()
    versions = (other, f"{scene.root}/{KEYS}/key/evil", f"{scene.root}:master", scene.root[:8], scene.root)
    for version in versions:
        fields = {"Action": "commit", "UUID": version, "Note": "forged"}
        forge(scene.kafka, scene.topic_prefix, scene.source.url, scene.root, None, fields)
    fields = {
        "Action": "merge-complete",
        "UUID": scene.root[:8],
        "MutationID": 7,
        "Target": 5,
        "Labels": [6],
    }
    forge(scene.kafka, scene.topic_prefix, scene.source.url, scene.root, LABELS, fields)
    copying.post("log", json={"log": []})
    copying.post(f"{KEYS}/key/after", content=b"it")
    scene.flush()
    reports = copying.run(on_undecodable="quarantine")
    assert sum(len(report.quarantined) for report in reports) == len(versions) + 1
    scene.assert_same()
    assert httpx.get(f"{copy.url}/api/node/{other}/status").json() == {"Locked": False}


def test_bodies_that_the_copy_never_had(copying: Copying) -> None:
    copying.run()
    volume = np.full((64, 64, 64), 900500, dtype="<u8")
    volume[:32] = 900501
    copying.post(f"{LABELS}/raw/0_1_2/64_64_64/128_0_0", content=volume.tobytes())
    # The labels are indexed behind the answer.
    sizes = f"{copying.scene.source.url}/api/node/{copying.scene.root}/{LABELS}/sizes"
    while sum(httpx.request("GET", sizes, json=[900500, 900501]).json()) < volume.size:
        time.sleep(0.05)
    copying.post(f"{LABELS}/merge", json=[900500, 900501])
    copying.scene.work(3)
    copying.scene.flush()
    found = set()
    for _ in range(3):
        with pytest.raises(Conflict) as stopped:
            copying.run()
        found.add(str(stopped.value))
    assert len(found) == 1
    # No message tells of voxels, so a mutation id is missing: the merge may only be early, and waits a while.
    reports = copying.run(on_conflict="skip")
    assert sum(report.held for report in reports) == 1
    assert any("records that may be late" in note for report in reports for note in report.notes)


def test_an_administrators_change_of_a_committed_version(copying: Copying) -> None:
    copying.post("commit", json={"note": "done"})
    copying.scene.flush()
    copying.run()
    copying.post(f"{LABELS}/merge", json=[3000, 3001], admin=True)
    copying.post(f"{KEYS}/key/late", content=b"it", admin=True)
    copying.scene.flush()
    copying.run()
    copying.scene.assert_same()


def test_an_instance_that_was_deleted_and_made_anew(copying: Copying) -> None:
    """What its old topic told is the old one's, and so is what the copy has by that name."""
    copying.scene.work(3)
    copying.scene.flush()
    copying.run()
    source = copying.scene.source
    repo = f"{source.url}/api/repo/{copying.scene.root}"
    admin = {"admintoken": source.admin_token}
    program = dvid_binary()
    assert program is not None
    delete = ["repo", copying.scene.root, "delete", KEYS, ""]
    subprocess.run([program, f"-rpc=127.0.0.1:{source.rpc_port}", *delete], check=True, capture_output=True)
    # It goes behind the answer.
    while KEYS in httpx.get(f"{repo}/info").json()["DataInstances"]:
        time.sleep(0.05)
    settings = {"typename": "keyvalue", "dataname": KEYS}
    httpx.post(f"{repo}/instance", params=admin, json=settings).raise_for_status()
    copying.post(f"{KEYS}/key/new", content=b"it")
    copying.scene.flush()
    with pytest.raises(ConfigurationError, match="made anew"):
        copying.run()


def test_one_server_under_two_names(copying: Copying) -> None:
    source, copy = copying.scene.source.url, copying.scene.destination.url
    with (
        DvidClient(source) as one,
        DvidClient(source.replace("127.0.0.1", "localhost")) as alias,
        DvidClient(copy) as other,
    ):
        assert is_one_server(one, alias)
        assert not is_one_server(one, other)
