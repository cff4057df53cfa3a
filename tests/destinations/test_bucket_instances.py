"""Which instance a table is of: instances are made, deleted, renamed and exchanged while a bucket follows,
and the log says of them what is not so."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from dvidsync_dagster import snapshot
from dvidsync_dagster.compare.comparison import compare
from dvidsync_dagster.dvid.http import DvidClient
from dvidsync_dagster.dvid.repo import read_server_info
from dvidsync_dagster.errors import ConfigurationError, ServerFailed
from dvidsync_dagster.repair.repairing import repair
from dvidsync_dagster.run.report import ChunkReport
from dvidsync_dagster.snapshot.layout import table_path
from tests.destinations.bucket_scene import (
    KEYS,
    LABELS,
    NEURONS,
    SYNAPSES,
    SourceAndBucket,
    source_and_bucket,
)
from tests.forging import forge

SECOND = 1_000_000_000


@pytest.fixture
def here(tmp_path: Path) -> Iterator[SourceAndBucket]:
    with source_and_bucket(tmp_path) as opened:
        yield opened


def delete(here: SourceAndBucket, name: str) -> None:
    names = {"uuid": here.root, "data": name}
    httpx.post(f"{here.source.url}/sandbox/delete", json=names).raise_for_status()


def rename(here: SourceAndBucket, old: str, new: str) -> None:
    names = {"uuid": here.root, "from": old, "to": new}
    httpx.post(f"{here.source.url}/sandbox/rename", json=names).raise_for_status()


def put_cubes(here: SourceAndBucket, name: str) -> None:
    """Write voxels, of which no message tells."""
    cubes = {"uuid": here.head, "data": name, "size": [32, 32, 32], "cube": 16}
    httpx.post(f"{here.source.url}/sandbox/cubes", json=cubes).raise_for_status()


def second_is_over(here: SourceAndBucket) -> None:
    """The repo's log tells the second in which an instance was made."""
    with DvidClient(here.source.url) as source:
        began = read_server_info(source).clock // SECOND
        while read_server_info(source).clock // SECOND == began:
            time.sleep(0.05)


def tell_of_making(here: SourceAndBucket, name: str, typename: str, version: str | None = None) -> None:
    """A record that the source never wrote."""
    fields = {
        "Action": "newinstance",
        "UUID": version or here.head,
        "Typename": typename,
        "Dataname": name,
    }
    forge(here.broker.address, "", here.source.url, here.root, None, fields)


def keys(here: SourceAndBucket, name: str = KEYS, version: str | None = None) -> set[str]:
    return {row["key"] for row in here.content(version=version)[name]}


def notes(reports: list[ChunkReport]) -> str:
    return "\n".join(note for report in reports for note in report.notes)


def assert_agrees(here: SourceAndBucket) -> None:
    config = here.config()
    found = compare(config, config.destinations[0])
    assert found.agree, found.differences
    assert found.read


def test_a_record_of_a_making_that_never_was_changes_nothing(here: SourceAndBucket) -> None:
    here.put_key("a", "1")
    here.post(f"{NEURONS}/key/1", {"bodyid": 1, "type": "KC"})
    here.sync()
    before = here.content()
    for name, typename in ((KEYS, "keyvalue"), (NEURONS, "neuronjson"), (LABELS, "labelmap")):
        tell_of_making(here, name, typename)
    tell_of_making(here, KEYS, "annotation")
    tell_of_making(here, "nowhere", "keyvalue")
    (report,) = here.sync()
    assert report.operations == 5
    assert here.content() == before
    here.put_key("b", "2")
    here.sync()
    assert keys(here) == {"first", "a", "b"}
    assert_agrees(here)


def test_a_record_of_a_making_that_comes_twice_changes_nothing(here: SourceAndBucket) -> None:
    here.sync()
    here.new_instance("more", "keyvalue")
    here.post("more/key/x", "1")
    tell_of_making(here, "more", "keyvalue")
    here.post("more/key/y", "1")
    here.sync()
    assert keys(here, "more") == {"x", "y"}
    tell_of_making(here, "more", "keyvalue")
    here.sync()
    assert keys(here, "more") == {"x", "y"}


def test_no_record_lets_an_instance_begin_empty_that_is_older(here: SourceAndBucket) -> None:
    here.put_key("a", "1")
    here.sync(changed={"own": [KEYS]})
    tell_of_making(here, KEYS, "keyvalue")
    here.put_key("b", "2")
    reports = here.sync()
    assert KEYS not in here.content()
    assert f"{KEYS} joins the snapshot with the next version" in notes(reports)
    here.new_version()
    here.sync()
    assert keys(here) == {"first", "a", "b"}
    assert_agrees(here)


@pytest.mark.parametrize("where", ["dev", "master"])
def test_an_instance_is_one_of_the_whole_repo(here: SourceAndBucket, where: str) -> None:
    """Wherever it was made."""
    dev = here.branch(here.parent, "dev")
    here.sync()
    config = {"dataname": "more", "typename": "keyvalue"}
    version = dev if where == "dev" else here.head
    httpx.post(f"{here.source.url}/api/repo/{version}/instance", json=config).raise_for_status()
    here.post("more/key/on_dev", "1", version=dev)
    here.post("more/key/on_master", "1")
    here.sync()
    assert keys(here, "more") == {"on_master"}
    assert_agrees(here)


def test_an_instance_that_was_made_anew_takes_the_place_of_the_former(here: SourceAndBucket) -> None:
    here.put_key("a", "1")
    pinned = here.new_version()
    here.put_key("b", "1")
    here.sync()
    delete(here, KEYS)
    here.new_instance(KEYS, "keyvalue")
    here.put_key("lost", "1")  # docs/dvid.md, "Deleted instances"
    here.put_key("c", "1")
    reports = here.sync()
    assert f"{KEYS} leaves the snapshot" in notes(reports)
    assert "c" in keys(here)
    assert not keys(here) & {"first", "a", "b"}
    assert keys(here, version=pinned) == {"first", "a"}
    assert_agrees(here)
    second = here.new_version()
    here.put_key("d", "1")
    here.sync()
    assert "c" in keys(here, version=second)
    assert keys(here, version=pinned) == {"first", "a"}
    assert_agrees(here)
    assert keys(here) >= {"c", "d"}


def test_a_repair_leaves_a_former_instance_in_the_versions_that_have_it(here: SourceAndBucket) -> None:
    here.put_key("a", "1")
    pinned = here.new_version()
    here.sync()
    delete(here, KEYS)
    here.new_instance(KEYS, "keyvalue")
    here.put_key("b", "1", version=pinned)
    here.sync()
    config = here.config()
    repair(config, config.destinations[0], dry_run=False, still_owner=lambda: None)
    assert keys(here, version=pinned) == {"first", "a"}


def test_a_labelmap_that_was_made_anew_is_read_whole_with_the_next_commit(here: SourceAndBucket) -> None:
    here.sync()
    base = here.parent
    delete(here, LABELS)
    here.new_instance(LABELS, "labelmap")
    put_cubes(here, LABELS)
    here.sync()
    assert f"{LABELS}/mapping" not in here.content()
    assert len(here.content(version=base)[f"{LABELS}/mapping"]) == 64
    here.new_version()
    here.post(f"{LABELS}/merge", [1, 2])
    here.sync()
    mapping = {row["sv"]: row["body"] for row in here.content()[f"{LABELS}/mapping"]}
    assert mapping == {**{each: each for each in range(1, 9)}, 2: 1}
    assert_agrees(here)


def test_instances_that_exchange_their_names(here: SourceAndBucket) -> None:
    here.new_instance("more", "keyvalue")
    here.put_key("a", "1")
    here.post("more/key/x", "1")
    here.sync()
    assert (keys(here), keys(here, "more")) == ({"first", "a"}, {"x"})
    rename(here, KEYS, "between")
    rename(here, "more", KEYS)
    rename(here, "between", "more")
    here.post("more/key/b", "1")
    here.sync()
    assert not {KEYS, "more"} & here.content().keys()
    here.new_version()
    here.post("more/key/c", "1")
    here.sync()
    assert (keys(here, "more"), keys(here)) == ({"first", "a", "b", "c"}, {"x"})
    assert_agrees(here)


def test_an_instance_with_another_name_joins_by_that_one(here: SourceAndBucket) -> None:
    here.put_key("a", "1")
    here.sync()
    rename(here, KEYS, "renamed")
    here.sync()
    assert not {KEYS, "renamed"} & here.content().keys()
    here.new_version()
    here.sync()
    assert keys(here, "renamed") == {"first", "a"}
    assert_agrees(here)


def test_another_data_type_by_the_same_name(here: SourceAndBucket) -> None:
    here.sync()
    base = here.parent
    delete(here, KEYS)
    here.new_instance(KEYS, "neuronjson")
    here.post(f"{KEYS}/key/1", {"bodyid": 1, "type": "KC"})
    here.post(f"{KEYS}/key/2", {"bodyid": 2, "type": "KC"})
    here.sync()
    assert 2 in {row["body"] for row in here.content()[KEYS]}
    assert keys(here, version=base) == {"first"}
    held = snapshot.open(str(here.bucket)).held(KEYS)
    assert held.text.startswith("One neuron")
    assert {"body", "json", "type"} <= {column.name for column in held.columns}
    assert_agrees(here)
    here.post(f"{KEYS}/key/3", {"bodyid": 3, "type": "KC"})
    here.sync()
    assert_agrees(here)


def test_tables_are_not_put_into_the_folder_of_a_former_one(here: SourceAndBucket) -> None:
    here.sync()
    delete(here, KEYS)
    here.new_instance(KEYS, "labelmap")
    before = here.content()
    with pytest.raises(ConfigurationError, match="of another data type before") as refused:
        here.sync()
    assert refused.value.field == "destinations[cloud].own"
    assert here.content() == before
    here.sync(changed={"own": [KEYS]})
    assert KEYS not in here.content()


def test_elements_are_read_anew_when_another_labelmap_is_under_them(here: SourceAndBucket) -> None:
    element = {"Pos": [1, 2, 3], "Kind": "Note", "Tags": [], "Prop": {}, "Rels": []}
    here.post(f"{SYNAPSES}/sync", {"sync": LABELS}, query="&replace=true")
    here.post(f"{SYNAPSES}/elements", [element])
    here.sync()
    assert [row["sv"] for row in here.content()[SYNAPSES]] == [1]
    delete(here, LABELS)
    here.new_instance(LABELS, "labelmap")
    here.post(f"{SYNAPSES}/sync", {"sync": LABELS}, query="&replace=true")
    here.sync()
    assert SYNAPSES not in here.content()
    here.new_version()
    here.sync()
    assert [row["sv"] for row in here.content()[SYNAPSES]] == [0]


def without_instances(here: SourceAndBucket) -> None:
    """The bucket as an earlier dvidsync has left it."""
    file = here.bucket / "snapshot.json"
    content = json.loads(file.read_text())
    parts: list[Any] = [*content["branches"].values(), *content["pins"].values()]
    for part in parts:
        del part["instances"]
    file.write_text(json.dumps(content))


def test_a_snapshot_that_does_not_tell_its_instances_learns_them(here: SourceAndBucket) -> None:
    here.put_key("a", "1")
    pinned = here.new_version()
    here.sync()
    without_instances(here)
    assert keys(here) == {"first", "a"}
    assert_agrees(here)
    here.put_key("b", "1")
    here.sync()
    known = here.pointer()
    uuid = (known.branches["master"].instances or {})[KEYS]
    assert known.pins[pinned].instances[KEYS] == uuid
    assert keys(here) == {"first", "a", "b"}
    delete(here, KEYS)
    here.new_instance(KEYS, "keyvalue")
    here.sync()
    assert keys(here) == set()
    assert keys(here, version=pinned) == {"first", "a"}
    assert_agrees(here)


def test_a_labelmap_joins_no_version_that_is_older(here: SourceAndBucket) -> None:
    """Voxels that come into it in a later version are told by no message."""
    here.commit()
    dev = here.branch(here.head, "dev")
    here.sync()
    config = {"dataname": "bodies", "typename": "labelmap"}
    httpx.post(f"{here.source.url}/api/repo/{dev}/instance", json=config).raise_for_status()
    second_is_over(here)
    for _ in range(2):
        here.post("note", {"note": "later"}, version=dev)
        here.sync()
        assert "bodies/mapping" not in here.content()
    here.go_on()
    put_cubes(here, "bodies")
    here.sync()
    assert "bodies/mapping" not in here.content()
    pinned = here.new_version()
    here.sync()
    assert len(here.content()["bodies/mapping"]) == 8
    assert len(here.content(version=pinned)["bodies/mapping"]) == 8
    assert_agrees(here)


def test_what_came_before_an_instance_is_followed_is_no_conflict(here: SourceAndBucket) -> None:
    here.sync(instances=[LABELS])
    here.put_key("a", "1")
    here.new_version()
    here.put_key("b", "1")
    here.sync(instances=[LABELS])
    reports = here.sync()
    assert [row for report in reports for row in report.conflicts] == []
    here.new_version()
    here.sync()
    assert keys(here) == {"first", "a", "b"}
    assert_agrees(here)


def test_names_that_change_while_a_run_reads_by_them_end_it(here: SourceAndBucket) -> None:
    here.new_instance("more", "keyvalue")
    here.sync()
    before = here.content()
    here.put_key("a", "1")
    here.post("more/key/x", "1")
    for number in range(150):
        here.put_key(f"k{number}", "1")
    run = here.run()
    next(run)
    after_one = here.content()
    rename(here, KEYS, "between")
    rename(here, "more", KEYS)
    rename(here, "between", "more")
    with pytest.raises(ServerFailed, match="is not the instance that it was"):
        list(run)
    assert before != after_one == here.content()
    here.sync()
    here.new_version()
    here.sync()
    assert keys(here, "more") >= {"first", "a", "k149"}
    assert keys(here) == {"x"}
    assert_agrees(here)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("segmentation/mapping", "no request can name it"),
        ("dvidsync/points", "no request can name it"),
        ("..", "no request can name it"),
        ("n" * 260, "is too long"),
        ("Versions", "that the snapshot itself needs"),
        (KEYS.upper(), "differs from"),
    ],
)
def test_names_without_a_place_are_refused_before_anything_is_written(
    here: SourceAndBucket, name: str, words: str
) -> None:
    here.new_instance(name, "keyvalue")
    with pytest.raises(ConfigurationError, match=words) as refused:
        here.sync()
    assert refused.value.field == "destinations[cloud].own"
    assert "`own`" in refused.value.remedy
    assert here.is_empty()
    here.sync(changed={"own": [name]})
    assert keys(here) == {"first"}


@pytest.mark.parametrize("name", ["a b", "%2F", "~2F", "é", "x?y#z", '"', "_x", ".x", "n" * 255])
def test_odd_names_have_places(here: SourceAndBucket, name: str) -> None:
    here.sync()
    here.new_instance(name, "keyvalue")
    quoted = "".join(f"%{byte:02X}" for byte in name.encode())
    url = f"{here.source.url}/api/node/{here.head}/{quoted}/key/x?u=amy"
    httpx.post(url, json="1").raise_for_status()
    here.sync()
    assert keys(here, table_path(name)) == {"x"}
    assert_agrees(here)
