"""The label counter of a copy through the whole way: it follows the source's, and is never raised past it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from dvid_sandbox.launcher import SandboxServer
from dvidsync_dagster.errors import Conflict
from dvidsync_dagster.run.follow import Scope
from dvidsync_dagster.run.report import ChunkReport
from tests.datatypes.source_and_destination import SourceAndDestination
from tests.forging import forge

LABELS, KEYS = "segmentation", "segmentation_annotations"
NO_TOKEN = {"admin_token_env": None}


def next_label(scene: SourceAndDestination, server: SandboxServer) -> int:
    return int(scene.request("GET", f"{LABELS}/nextlabel", server=server).json()["nextlabel"])


def assert_same_counter(scene: SourceAndDestination) -> None:
    assert next_label(scene, scene.destination) == next_label(scene, scene.source)


def cleave(scene: SourceAndDestination, label: int, *parts: int, **what: Any) -> int:
    return int(scene.post(f"{LABELS}/cleave/{label}", json=list(parts), **what)["CleavedLabel"])


def set_next(scene: SourceAndDestination, label: int, **what: Any) -> None:
    scene.post(f"{LABELS}/set-nextlabel/{label}", query=f"&admintoken={scene.source.admin_token}", **what)


def forged(scene: SourceAndDestination, **fields: Any) -> None:
    source = scene.source
    assert source.kafka is not None
    said = {"UUID": scene.root, "MutationID": 10**9, **fields}
    forge(source.kafka, source.topic_prefix, source.url, scene.root, LABELS, said)


def conflicts(reports: list[ChunkReport]) -> list[str]:
    return [row.action for report in reports for row in report.conflicts]


def is_said(reports: list[ChunkReport]) -> bool:
    """That there is no version in which labels can be reserved."""
    return any("every version is committed" in note for report in reports for note in report.notes)


@pytest.mark.parametrize("token", [True, False], ids=["admin token", "no admin token"])
def test_a_renumber_where_nobody_follows_reserves_nothing_once_the_counter_was_set(
    scene: SourceAndDestination, token: bool
) -> None:
    scene.post(f"{LABELS}/merge", json=[1, 2, 3, 4])
    set_next(scene, 100)
    set_next(scene, 100, server=scene.destination)
    main = scene.new_version()
    side = scene.post("branch", json={"branch": "side", "note": ""})["child"]
    scene.post(f"{LABELS}/renumber", json=[900000, 9], version=side)
    cleave(scene, 1, 2, version=side)
    reports = scene.sync(branches=["master"], changed={} if token else NO_TOKEN)
    assert next_label(scene, scene.destination) == next_label(scene, scene.source) == 102
    cleave(scene, 1, 3, version=main)
    reports += scene.sync(branches=["master"], changed={} if token else NO_TOKEN)
    assert conflicts(reports) == []
    assert_same_counter(scene)


FORGED: dict[str, dict[str, Any]] = {
    "a cleave that nobody completed": {
        "Action": "cleave",
        "OrigLabel": 40,
        "CleavedLabel": 2**62,
        "CleavedSupervoxels": [41],
    },
    "a split that nobody completed": {
        "Action": "split-supervoxel",
        "Supervoxel": 40,
        "Body": 40,
        "SplitSupervoxel": 2**62,
        "RemainSupervoxel": 2**62 + 1,
        "Split": "none",
    },
    "labels to the end": {"Action": "post-nextlabel", "Start Label": 65, "End Label": 2**64 - 1},
    "labels at the end": {"Action": "post-nextlabel", "Start Label": 2**64 - 1, "End Label": 2**64 - 1},
    "a highest label": {"Action": "post-maxlabel", "MaxLabel": 2**47},
    "a highest label at the end": {"Action": "post-maxlabel", "MaxLabel": 2**64 - 1},
    "a counter that was never set": {"Action": "setnextlabel", "Next Label": 2**62},
    "a counter set to the end": {"Action": "setnextlabel", "Next Label": 2**64 - 1},
}


@pytest.mark.parametrize("was_set", [False, True], ids=["mode 1", "mode 2"])
@pytest.mark.parametrize("token", [True, False], ids=["admin token", "no admin token"])
def test_no_record_raises_it_past_the_sources_own(
    scene: SourceAndDestination, token: bool, was_set: bool
) -> None:
    changed = {} if token else NO_TOKEN
    if was_set:
        for server in (scene.source, scene.destination):
            set_next(scene, 200, server=server)
    scene.post(f"{LABELS}/merge", json=[1, 2, 3])
    for number, fields in enumerate(FORGED.values()):
        forged(scene, **{**fields, "MutationID": 10**9 + number})
    cleave(scene, 1, 2)
    reports = scene.sync(changed=changed)
    assert_same_counter(scene)
    cleave(scene, 1, 3)
    scene.post(f"{LABELS}/nextlabel/3")
    reports += scene.sync(changed=changed)
    assert conflicts(reports) == []
    assert_same_counter(scene)
    scene.assert_same()


@pytest.mark.parametrize("token", [True, False], ids=["admin token", "no admin token"])
def test_a_counter_that_was_set_to_its_end(scene: SourceAndDestination, token: bool) -> None:
    """Nothing is left to give; what needs no new label goes on."""
    scene.post(f"{LABELS}/merge", json=[1, 2, 3])
    cleave(scene, 1, 2)
    set_next(scene, 2**64 - 3)
    scene.post(f"{LABELS}/nextlabel/1")
    scene.post(f"{LABELS}/merge", json=[1, 5])
    for _ in range(2):
        reports = scene.sync(changed={} if token else NO_TOKEN)
        assert conflicts(reports) == []
    assert_same_counter(scene)
    scene.assert_same()


@pytest.mark.parametrize("later", ["cleave", "reservation"])
def test_windows_that_are_read_again_leave_it_alone(scene: SourceAndDestination, later: str) -> None:
    scene.post(f"{LABELS}/merge", json=[1, 2, 3])
    set_next(scene, 1000)
    upto = time.time_ns()
    if later == "cleave":
        cleave(scene, 1, 2)
    else:
        scene.post(f"{LABELS}/nextlabel/5")
    scene.sync()
    assert_same_counter(scene)
    for _ in range(2):
        scene.sync(scope=Scope(0, upto))
        assert_same_counter(scene)
    scene.assert_same()


def test_windows_from_before_it_was_set_back(scene: SourceAndDestination) -> None:
    set_next(scene, 900_000)
    scene.post(f"{LABELS}/nextlabel/10")
    upto = time.time_ns()
    set_next(scene, 1000)
    scene.post(f"{LABELS}/merge", json=[1, 2, 3])
    scene.sync()
    assert_same_counter(scene)
    scene.sync(scope=Scope(0, upto))
    assert_same_counter(scene)
    cleave(scene, 1, 2)
    scene.sync()
    assert_same_counter(scene)
    scene.assert_same()


def test_a_version_that_the_copy_committed_itself_does_not_stop_what_skips(
    scene: SourceAndDestination,
) -> None:
    scene.sync()
    for path, body in (("commit", {"note": "own"}), ("newversion", {"note": "own"})):
        scene.post(path, json=body, server=scene.destination)
    for _ in range(5):
        scene.post(f"{LABELS}/nextlabel/5")
    for number in range(40):
        scene.post(scene.key(KEYS, f"k{number}"), body=b"1")
    scene.post("commit", json={"note": "x"})
    skipping = {"on_conflict": "skip", "requests_in_flight": 1}
    before = next_label(scene, scene.destination)
    # The first finds the values refused; then there is nothing more to say.
    reports = scene.sync(changed=skipping)
    assert conflicts(reports)
    assert is_said(reports)
    assert conflicts(scene.sync(changed=skipping)) == []
    # The copy's own version is not used for the source's ids.
    assert next_label(scene, scene.destination) == before


def test_where_every_version_is_committed_it_is_said_and_made_good_later(scene: SourceAndDestination) -> None:
    scene.sync()
    scene.post("commit", json={"note": "own"}, server=scene.destination)
    scene.post(f"{LABELS}/nextlabel/5")
    reports = scene.sync(changed={"on_conflict": "skip"})
    assert is_said(reports)
    scene.new_version()
    scene.sync(changed={"on_conflict": "skip"})
    assert_same_counter(scene)


def test_a_cleave_of_nothing_that_is_looked_at_again(scene: SourceAndDestination) -> None:
    scene.sync()
    before = scene.checkpoint
    cleave(scene, 1)
    scene.post(f"{LABELS}/merge", json=[3, 4])
    scene.sync()
    for _ in range(3):
        scene.checkpoint = before
        scene.sync()
        assert_same_counter(scene)
    scene.assert_same()


def test_a_cleave_that_is_refused_again_and_again_burns_no_more_ids(scene: SourceAndDestination) -> None:
    """The copy moved what is cleaved. The source's id is gone with the first try, and none with the next."""
    scene.sync()
    scene.post(f"{LABELS}/merge", json=[1, 2, 3])
    scene.sync()
    scene.post(f"{LABELS}/merge", json=[9, 1], server=scene.destination)
    cleave(scene, 1, 2)
    for _ in range(3):
        with pytest.raises(Conflict, match="cannot cleave"):
            scene.sync()
        assert_same_counter(scene)


def max_label(scene: SourceAndDestination, server: SandboxServer, version: str) -> int:
    answer = scene.request("GET", f"{LABELS}/maxlabel", server=server, version=version)
    return int(answer.json()["maxlabel"])


@pytest.mark.parametrize("was_set", [False, True], ids=["mode 1", "mode 2"])
def test_the_highest_label_of_each_version_is_the_sources(scene: SourceAndDestination, was_set: bool) -> None:
    main = scene.new_version()
    branch = str(scene.post("branch", json={"branch": "side", "note": ""})["child"])
    if was_set:
        set_next(scene, 100, version=main)
    scene.post(f"{LABELS}/merge", json=[1, 2, 3], version=main)
    scene.post(f"{LABELS}/nextlabel/10", version=branch)
    cleave(scene, 1, 2, version=main)
    assert scene.request("POST", f"{LABELS}/cleave/9", json=[8], version=branch).status_code == 400
    cleave(scene, 1, 3, version=main)
    scene.post("commit", json={"note": "done"}, version=branch)
    admin = f"&admintoken={scene.source.admin_token}"
    scene.post(f"{LABELS}/maxlabel/900", version=main, query=admin)
    scene.sync()
    for version in (scene.root, main, branch):
        assert max_label(scene, scene.destination, version) == max_label(scene, scene.source, version)
    assert_same_counter(scene)
    scene.assert_same()


def test_labels_are_reserved_where_the_source_did_also_without_a_token(scene: SourceAndDestination) -> None:
    main = scene.new_version()
    branch = str(scene.post("branch", json={"branch": "side", "note": ""})["child"])
    scene.post(f"{LABELS}/merge", json=[1, 2, 3], version=main)
    scene.post(f"{LABELS}/nextlabel/10", version=branch)
    cleave(scene, 1, 2, version=main)
    scene.post(f"{LABELS}/nextlabel/10", version=branch)
    scene.sync(changed=NO_TOKEN)
    for version in (scene.root, main, branch):
        assert max_label(scene, scene.destination, version) == max_label(scene, scene.source, version)
    assert_same_counter(scene)
