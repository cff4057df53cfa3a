"""Elements end as at the source, at every position that the log names."""

from __future__ import annotations

import time
from typing import Any

from dvidsync_dagster.run.follow import Scope
from tests.datatypes.source_and_destination import SourceAndDestination

SYNAPSES = "synapses"


def element(x: int, y: int = 5, z: int = 5, *, to: tuple[int, int, int] | None = None, **more: Any) -> Any:
    relations = [{"Rel": "GroupedWith", "To": to}] if to else []
    return {"Pos": [x, y, z], "Kind": "Note", "Tags": [], "Prop": {}, "Rels": relations, **more}


def post(scene: SourceAndDestination, *elements: Any, **what: Any) -> None:
    scene.post(f"{SYNAPSES}/elements", json=list(elements), **what)


def elements(scene: SourceAndDestination) -> dict[tuple[int, ...], Any]:
    """The copy's, by position."""
    found = scene.states()[1]["data"][f"{scene.root}/{SYNAPSES}"]
    return {tuple(each["Pos"]): each for each in found}


def test_posts_deletes_and_moves(scene: SourceAndDestination) -> None:
    post(scene, element(1), element(2), element(3, Tags=["a"]))
    post(scene, element(3, Tags=["b"], Prop={"user": "amy"}), element(100), element(-100))
    scene.delete(f"{SYNAPSES}/element/2_5_5")
    scene.post(f"{SYNAPSES}/move/1_5_5/4_5_5")
    scene.post(f"{SYNAPSES}/move/100_5_5/200_5_5")
    scene.sync()
    scene.assert_same()
    assert sorted(elements(scene)) == [(-100, 5, 5), (3, 5, 5), (4, 5, 5), (200, 5, 5)]
    scene.delete(f"{SYNAPSES}/element/200_5_5")
    scene.post(f"{SYNAPSES}/move/4_5_5/300_5_5")
    scene.sync()
    scene.assert_same()


def test_tags_that_one_element_gets_and_another_loses(scene: SourceAndDestination) -> None:
    """DVID panics where both are in one request."""
    post(scene, element(1, Tags=["a", "b"]), element(2, Tags=["a"]), element(100, Tags=["b"]))
    scene.sync()
    post(scene, element(1, Tags=["b"]))
    post(scene, element(3, Tags=["a"]), element(4))
    post(scene, element(100, Tags=["a"]), element(200, Tags=["a"]))
    scene.sync()
    scene.assert_same()


def test_relations_follow_moves_and_deletes(scene: SourceAndDestination) -> None:
    post(
        scene,
        element(1, to=(100, 5, 5)),
        element(100, to=(1, 5, 5)),
        element(2, to=(1, 5, 5)),
        element(300, to=(400, 5, 5)),
        element(400, to=(300, 5, 5)),
    )
    scene.sync()
    scene.post(f"{SYNAPSES}/move/1_5_5/200_5_5")
    scene.delete(f"{SYNAPSES}/element/300_5_5")
    scene.sync()
    scene.assert_same()
    found = elements(scene)
    assert found[100, 5, 5]["Rels"] == [{"Rel": "GroupedWith", "To": [200, 5, 5]}]
    assert not found[400, 5, 5]["Rels"]


def test_blocks_are_replaced_whole(scene: SourceAndDestination) -> None:
    post(scene, element(1), element(2), element(70))
    scene.sync()
    scene.post(f"{SYNAPSES}/blocks", json={"0,0,0": [element(2, Tags=["t"]), element(3)], "5,0,0": []})
    scene.sync()
    scene.assert_same()
    assert sorted(elements(scene)) == [(2, 5, 5), (3, 5, 5), (70, 5, 5)]


def test_several_elements_at_one_point(scene: SourceAndDestination) -> None:
    """DVID keeps both if they come in one request."""
    post(scene, element(1, Kind="PreSyn"), element(1, Kind="PostSyn"))
    scene.sync()
    scene.assert_same()
    post(scene, element(1, Kind="Gap"))
    scene.sync()
    scene.assert_same()


def test_many_posts_take_few_requests(scene: SourceAndDestination) -> None:
    for number in range(60):
        post(scene, *(element(number, y) for y in range(10)))
    scene.await_messages(60)
    reports = scene.sync()
    scene.assert_same()
    assert sum(report.requests for report in reports) == 1


def test_what_a_committed_version_has_is_no_conflict(scene: SourceAndDestination) -> None:
    post(scene, element(1), element(2))
    scene.post(f"{SYNAPSES}/move/1_5_5/3_5_5")
    scene.post("neurons/key/1", json={"bodyid": 1, "status": "Traced"})
    scene.post("segmentation_annotations/key/a", body=b"1")
    scene.post("segmentation_annotations/key/b", body=b"1")
    scene.delete("segmentation_annotations/key/b")
    scene.new_version()
    scene.sync()
    scene.checkpoint = None
    reports = scene.sync()
    assert not any(report.conflicts for report in reports)
    scene.assert_same()


def test_windows_that_are_read_again_change_nothing(scene: SourceAndDestination) -> None:
    before = time.time_ns()
    post(scene, element(1), element(2), element(3))
    scene.post(f"{SYNAPSES}/move/2_5_5/20_5_5")
    after = time.time_ns()
    scene.delete(f"{SYNAPSES}/element/1_5_5")
    scene.post(f"{SYNAPSES}/move/3_5_5/30_5_5")
    scene.sync()
    scene.sync(scope=Scope(before, after))
    scene.assert_same()
    assert sorted(elements(scene)) == [(20, 5, 5), (30, 5, 5)]


def test_elements_of_versions(scene: SourceAndDestination) -> None:
    post(scene, element(1))
    child = scene.new_version()
    scene.post(f"{SYNAPSES}/move/1_5_5/2_5_5", version=child)
    scene.sync()
    scene.assert_same()


def by_label(scene: SourceAndDestination, server: Any) -> dict[int, list[Any]]:
    found = {}
    for label in range(1, 70):
        listed = scene.request("GET", f"{SYNAPSES}/label/{label}", server=server).json()
        if listed:
            found[label] = sorted(listed, key=lambda each: each["Pos"])
    return found


def test_synced_elements_stay_with_their_bodies(synced: SourceAndDestination) -> None:
    post(synced, *(element(x, 1, 1) for x in range(0, 64, 4)))
    synced.post("segmentation/merge", json=[1, 2, 3])
    post(synced, element(17, 1, 1), element(33, 20, 1))
    synced.post("segmentation/cleave/1", json=[3])
    post(synced, element(34, 1, 1), element(2, 1, 1))
    synced.post("segmentation/merge", json=[4, 1])
    synced.delete(f"{SYNAPSES}/element/0_1_1")
    reports = synced.sync()
    synced.assert_same()
    assert by_label(synced, synced.destination) == by_label(synced, synced.source)
    # What the source's own sync announced is counted, not applied.
    assert (
        sum(report.not_followed.get(f"derived messages of annotation {SYNAPSES}", 0) for report in reports)
        > 1
    )
