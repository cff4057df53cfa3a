"""Every field with its user and time ends as at the source."""

from __future__ import annotations

import json
from typing import Any

from dvidsync_dagster.datatypes.neuronjson.events import PostNeuron
from dvidsync_dagster.datatypes.neuronjson.side import MAX_RECORDS, batches
from dvidsync_dagster.events.origin import Origin
from tests.datatypes.source_and_destination import SourceAndDestination

NEURONS = "neurons"


def _post(scene: SourceAndDestination, body: int, fields: dict[str, Any], **what: Any) -> None:
    scene.post(f"{NEURONS}/key/{body}", json={"bodyid": body, **fields}, **what)


def test_fields_users_and_times(scene: SourceAndDestination) -> None:
    _post(scene, 1, {"status": "Traced", "type": "KC"}, user="amy")
    _post(scene, 1, {"type": "PN"}, user="ben")
    _post(scene, 2**63 + 1, {"position": [1, 2, 3], "note": None})
    scene.sync()
    scene.assert_same()
    _, copy = scene.states()
    neuron = copy["data"][f"{scene.root}/{NEURONS}"]["1"]
    assert (neuron["status_user"], neuron["type_user"]) == ("amy", "ben")


def test_fields_that_were_removed(scene: SourceAndDestination) -> None:
    _post(scene, 1, {"status": "Traced", "type": "KC"})
    _post(scene, 2, {"status": "Traced", "type": "KC"})
    scene.sync()
    _post(scene, 1, {"status": "Leaves"}, query="&replace=true")
    _post(scene, 2, {"type": None}, user="ben")
    scene.sync()
    scene.assert_same()


def test_fields_without_user_and_time_get_none(scene: SourceAndDestination) -> None:
    """Such as are imported. DVID stamps every field that is posted without."""
    for number in range(2):
        _post(scene, 1, {"note": "n", "size": 2**63 + 1, "user": f"u{number}", "type": "KC"}, user="amy")
        _post(scene, 1, dict.fromkeys(("note_user", "note_time", "size_user", "size_time")), user="amy")
        _post(scene, 2, {"soma_user": f"u{number}", "seen_time": "today"}, user="amy")
        _post(scene, 2, dict.fromkeys(("soma_time",)), user="amy")
        scene.sync()
        scene.assert_same()
    _, copy = scene.states()
    assert copy["data"][f"{scene.root}/{NEURONS}"]["1"].keys().isdisjoint({"note_user", "user_user"})


def test_bulk_ingest_takes_few_requests(scene: SourceAndDestination) -> None:
    values = [
        (str(body), json.dumps({"bodyid": body, "status": f"s{body}"}).encode()) for body in range(1, 1101)
    ]
    scene.post_values(NEURONS, values)
    scene.await_messages(1100)
    reports = scene.sync(chunk_records=20_000)
    scene.assert_same()
    assert sum(report.requests for report in reports) <= 3


def test_what_the_source_does_not_have_is_deleted(scene: SourceAndDestination) -> None:
    _post(scene, 1, {"status": "Traced"})
    _post(scene, 2, {"status": "Traced"})
    scene.sync()
    _post(scene, 1, {"status": "Leaves"})
    scene.delete(f"{NEURONS}/key/1")
    scene.sync()
    scene.assert_same()


def test_refused_posts_are_announced_and_change_nothing(scene: SourceAndDestination) -> None:
    assert scene.request("POST", f"{NEURONS}/key/abc", json={"bodyid": 1}).status_code == 400
    assert scene.request("POST", f"{NEURONS}/key/0", json={"bodyid": 0}).status_code == 400
    _post(scene, 5, {"status": "Traced"})
    reports = scene.sync()
    assert not any(report.conflicts for report in reports)
    scene.assert_same()


def test_schemas_that_were_posted_as_keys(scene: SourceAndDestination) -> None:
    scene.post(f"{NEURONS}/key/schema", json={"type": "object"})
    scene.sync()
    answer = scene.request("GET", f"{NEURONS}/key/schema", server=scene.destination)
    assert answer.json() == {"type": "object"}


def test_batches_are_bounded() -> None:
    posts = [
        PostNeuron(origin=Origin(number, "t", 0, number), instance="n", version="v", key=str(number // 2))
        for number in range(2 * MAX_RECORDS + 2)
    ]
    assert [len(each) for each in batches(posts)] == [2 * MAX_RECORDS, 2]
