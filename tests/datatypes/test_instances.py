"""Instances that are born in the log, and data types that are not followed."""

from __future__ import annotations

from typing import Any

import httpx

from tests.datatypes.source_and_destination import SourceAndDestination


def instances(scene: SourceAndDestination, url: str) -> Any:
    return httpx.get(f"{url}/api/repo/{scene.root}/info").json()["DataInstances"]


def test_instances_born_in_the_log_are_followed_from_then_on(scene: SourceAndDestination) -> None:
    scene.new_instance("kv", "keyvalue")
    scene.new_instance("notes", "annotation", Tags="kind=notes")
    scene.post("notes/sync", json={"sync": "segmentation"})
    scene.post("notes/tags", json={"kind": "notes"})
    scene.new_instance("people", "neuronjson")
    scene.post("kv/key/a", body=b"1")
    scene.post("people/key/1", json={"bodyid": 1, "status": "Traced"})
    scene.post(
        "notes/elements", json=[{"Pos": [1, 1, 1], "Kind": "Note", "Tags": [], "Prop": {}, "Rels": []}]
    )
    scene.sync()
    scene.assert_same()
    notes = instances(scene, scene.destination.url)["notes"]["Base"]
    assert (notes["Syncs"], notes["Tags"]) == (["segmentation"], {"kind": "notes"})
    label = scene.request("GET", "notes/label/1", server=scene.destination).json()
    assert [each["Pos"] for each in label] == [[1, 1, 1]]
    scene.post("kv/key/a", body=b"2")
    scene.sync()
    scene.assert_same()


def test_instances_that_are_synced_to_a_later_one(scene: SourceAndDestination) -> None:
    scene.new_instance("notes", "annotation")
    scene.post(
        "notes/elements", json=[{"Pos": [1, 1, 1], "Kind": "Note", "Tags": [], "Prop": {}, "Rels": []}]
    )
    scene.new_instance("bodies", "labelmap", MaxDownresLevel="0")
    scene.post("notes/sync", json={"sync": "bodies"})
    scene.sync()
    scene.assert_same()
    assert instances(scene, scene.destination.url)["notes"]["Base"]["Syncs"] == ["bodies"]


def test_other_data_types_are_counted_and_said_once(scene: SourceAndDestination) -> None:
    scene.new_instance("kv", "keyvalue")
    scene.post("kv/key/a", body=b"1")
    chosen = [{"name": "segmentation"}]
    reports = scene.sync(instances=chosen)
    assert "kv" not in instances(scene, scene.destination.url)
    said = [note for report in reports for note in report.notes]
    assert len([note for note in said if "kv" in note]) == 1
