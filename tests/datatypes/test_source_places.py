"""What a run does stays within the source's repo, its versions and the instances that are followed."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from dvidsync_dagster.errors import ConfigurationError, Conflict, UndecodableRecord
from dvidsync_dagster.run.follow import Scope
from tests.datatypes.source_and_destination import SourceAndDestination
from tests.forging import forge

LABELS, KEYS = "segmentation", "segmentation_annotations"
ABSENT = "1" * 32


def merge(version: str) -> dict[str, Any]:
    return {"Action": "merge-complete", "UUID": version, "MutationID": 7, "Target": 5, "Labels": [6]}


FORGED: dict[str, tuple[str | None, dict[str, Any]]] = {
    "commit of another repo": (None, {"Action": "commit", "UUID": "OTHER"}),
    "commit of an open version": (None, {"Action": "commit", "UUID": "ROOT"}),
    "path": (None, {"Action": "commit", "UUID": f"ROOT/{KEYS}/key/evil"}),
    "way up": (None, {"Action": "nodenote", "UUID": "../repo/ROOT", "Note": "x"}),
    "version by branch": (None, {"Action": "nodelog", "UUID": "ROOT:master", "Log": ["x"]}),
    "child that the source lacks": (None, {"Action": "newversion", "Parent": "ROOT", "Child": ABSENT}),
    "instance in another repo": (
        None,
        {"Action": "newinstance", "UUID": "OTHER", "Dataname": KEYS, "Typename": "keyvalue"},
    ),
    "first letters": (LABELS, merge("SHORT")),
    "no such version": (LABELS, merge(ABSENT)),
    "key in another repo": (KEYS, {"Action": "postkv", "UUID": "OTHER", "Key": "k", "Bytes": 1}),
}


@pytest.mark.parametrize("case", FORGED)
def test_a_record_that_names_what_the_source_does_not_have(scene: SourceAndDestination, case: str) -> None:
    """It is that record's fault, and the destination is never asked for it."""
    server = scene.destination
    answer = httpx.post(
        f"{server.url}/api/repos", params={"admintoken": server.admin_token}, json={"alias": "other"}
    )
    other = str(answer.json()["root"])
    scene.sync()
    instance, fields = FORGED[case]
    names = {"OTHER": other, "ROOT": scene.root, "SHORT": scene.root[:8]}
    text = json.dumps(fields)
    for name, uuid in names.items():
        text = text.replace(name, uuid)
    source = scene.source
    assert source.kafka is not None
    forge(source.kafka, source.topic_prefix, source.url, scene.root, instance, json.loads(text))
    scene.post(scene.key(KEYS, "after"), body=b"it")
    with pytest.raises(UndecodableRecord, match=r"source|no request"):
        scene.sync()
    reports = scene.sync(on_undecodable="quarantine")
    assert sum(len(report.quarantined) for report in reports) == 1
    scene.assert_same()
    assert httpx.get(f"{server.url}/api/node/{other}/status").json() == {"Locked": False}
    assert httpx.get(f"{server.url}/api/repo/{other}/info").json()["DataInstances"] == {}


def test_a_version_that_the_destination_lacks(scene: SourceAndDestination) -> None:
    """A conflict that tells what to do, for every data type, whatever the policy."""
    child = scene.new_version()
    start = {"start": {"time": datetime.now(UTC).isoformat()}}
    scene.post(f"{LABELS}/merge", json=[1, 2], version=child)
    scene.post(scene.key(KEYS, "k"), body=b"v", version=child)
    with pytest.raises(Conflict, match=f"version {child} is not there; `dvidsync repair` makes it"):
        scene.sync(changed=start)
    reports = scene.sync(changed={**start, "on_conflict": "skip"})
    assert {row.action for report in reports for row in report.conflicts} == {"merge", "postkv"}


def test_instances_of_the_destinations_own(scene: SourceAndDestination) -> None:
    scene.sync()
    scene.post(scene.key(KEYS, "mine"), body=b"own", server=scene.destination)
    scene.post(scene.key(KEYS, "mine"), body=b"theirs")
    scene.post(f"{LABELS}/merge", json=[1, 2])
    reports = scene.sync(changed={"own": [KEYS]})
    assert scene.value(KEYS, "mine") == b"own"
    assert reports[-1].not_followed == {f"keyvalue {KEYS} (own)": 1}
    assert any(f"{KEYS} (own) is not followed" in note for note in reports[-1].notes)
    assert reports[-1].operations == 1


def test_two_destinations_that_are_one_server(scene: SourceAndDestination) -> None:
    """Two runs at a time would work on it."""
    twin = {
        "name": "twin",
        "url": scene.destination.url.replace("127.0.0.1", "localhost"),
        "start": "beginning",
    }
    dead = {"name": "dead", "url": "http://127.0.0.1:9", "start": "beginning"}
    unset = {**dead, "name": "unset", "url": "http://127.0.0.1:10", "token_env": "DVIDSYNC_TEST_UNSET"}
    with pytest.raises(ConfigurationError, match=r"destinations\[twin\].url .* are one server"):
        scene.sync(destinations=[scene.destination_fields(), dead, unset, twin])
    scene.sync(destinations=[scene.destination_fields(), dead, unset])


def test_windows_that_are_read_again_leave_notes_alone(scene: SourceAndDestination) -> None:
    """The note of then is not the note of now."""
    scene.post("note", json={"note": "first"})
    between = time.time_ns()
    scene.post("note", json={"note": "second"})
    scene.sync()
    scene.assert_same()
    scene.sync(scope=Scope(0, between))
    scene.assert_same()


def admins_merge(scene: SourceAndDestination, version: str, *labels: int) -> None:
    query = f"&admintoken={scene.source.admin_token}"
    scene.post(f"{LABELS}/merge", json=list(labels), version=version, query=query)


@pytest.mark.parametrize("in_one_run", [True, False])
def test_an_administrators_change_of_a_committed_version(
    scene: SourceAndDestination, in_one_run: bool
) -> None:
    """With the admin token it is made at the destination too."""
    scene.post("commit", json={"note": "done"})
    if not in_one_run:
        scene.sync()
    admins_merge(scene, scene.root, 1, 2)
    query = f"&admintoken={scene.source.admin_token}"
    scene.post(scene.key(KEYS, "k"), body=b"late", query=query)
    if not in_one_run:
        with pytest.raises(Conflict, match="admin token in `admin_token_env`"):
            scene.sync(changed={"admin_token_env": None})
    scene.sync()
    scene.assert_same()


def test_a_commit_of_the_destinations_own_is_no_leave_to_change_it(scene: SourceAndDestination) -> None:
    scene.sync()
    scene.post("commit", json={"note": "own"}, server=scene.destination)
    scene.post(f"{LABELS}/merge", json=[1, 2])
    scene.post("commit", json={"note": "later"})
    for _ in range(2):
        with pytest.raises(Conflict, match="locked node"):
            scene.sync()
