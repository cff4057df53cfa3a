"""Records that come after what they belong before was applied: their partition had no leader for a while."""

from __future__ import annotations

import pytest

from dvidsync_dagster.errors import Conflict
from tests.datatypes.source_and_destination import SourceAndDestination
from tests.datatypes.test_unfinished import KEYS, LABELS, assert_same, cleave, relay, sync
from tests.relay import Relay
from tests.state import differences

__all__ = ["relay"]


def test_a_value_and_a_merge_that_came_later_than_their_commit(
    scene: SourceAndDestination, relay: Relay
) -> None:
    """With the admin token they are applied; without it the conflict says so."""
    scene.post(scene.key(KEYS, "k"), body=b"v")
    scene.post(f"{LABELS}/merge", json=[1, 2])
    late = relay.fresh(3)
    child = scene.new_version()
    scene.post(f"{LABELS}/merge", json=[5, 6], version=child)
    relay.publish(relay.fresh(4))
    sync(scene, relay)
    relay.publish(late)
    with pytest.raises(Conflict, match=r"later than the commit of its version.* `admin_token_env`"):
        scene.sync(kafka=relay.settings(), changed={"admin_token_env": None})
    sync(scene, relay)
    assert_same(scene)


def test_a_late_merge_of_bodies_that_a_later_version_has_changed(
    scene: SourceAndDestination, relay: Relay
) -> None:
    """It would not reach them."""
    scene.post(f"{LABELS}/merge", json=[1, 2])
    late = relay.fresh(2)
    child = scene.new_version()
    scene.post(f"{LABELS}/merge", json=[1, 7], version=child)
    relay.publish(relay.fresh(4))
    sync(scene, relay)
    relay.publish(late)
    for _ in range(2):
        with pytest.raises(Conflict, match=f"version {child} has changed body 1 since"):
            sync(scene, relay)


def test_a_late_cleave_gets_its_label(scene: SourceAndDestination, relay: Relay) -> None:
    scene.post(f"{LABELS}/merge", json=[1, 2, 3])
    relay.publish(relay.fresh(2))
    cleave(scene, 1, 2)
    late = relay.fresh(2)
    child = scene.new_version()
    scene.post(f"{LABELS}/merge", json=[5, 6], version=child)
    relay.publish(relay.fresh(4))
    sync(scene, relay)
    relay.publish(late)
    sync(scene, relay)
    # Its id was reserved when the run before saw the source's counter, so it cost one more.
    assert differences(*scene.states(), ignore_times=False, next_labels=False) == []


def test_in_skip_a_cleave_waits_for_the_merge_before_it_that_is_late(
    scene: SourceAndDestination, relay: Relay
) -> None:
    """The merge's id has not been heard of, so the cleave may only be early."""
    scene.post(f"{LABELS}/merge", json=[1, 9])
    relay.publish(relay.fresh(2))
    sync(scene, relay, on_conflict="skip")
    scene.post(f"{LABELS}/merge", json=[1, 2])
    late = relay.fresh(2)
    cleave(scene, 1, 2)
    scene.post(f"{LABELS}/merge", json=[5, 6])
    relay.publish(relay.fresh(4))
    for _ in range(2):
        reports = sync(scene, relay, on_conflict="skip")
        assert [report.conflicts for report in reports] == [()]
        assert reports[-1].held == 1
        assert any("may be late" in note for note in reports[-1].notes)
    assert reports[-1].requests == 0
    assert scene.request("GET", f"{LABELS}/lastmod/6", server=scene.destination).status_code == 404
    relay.publish(late)
    (*_, last) = sync(scene, relay, on_conflict="skip")
    assert (last.conflicts, last.lag_after.records) == ((), 0)
    # The cleave that was refused burned an id here.
    assert differences(*scene.states(), ignore_times=False, next_labels=False) == []


def test_in_skip_what_waited_in_vain_is_a_conflict(
    scene: SourceAndDestination, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.post(f"{LABELS}/merge", json=[1, 9])
    relay.publish(relay.fresh(2))
    sync(scene, relay, on_conflict="skip")
    scene.post(f"{LABELS}/merge", json=[1, 2])
    relay.fresh(2)
    cleave(scene, 1, 2)
    relay.publish(relay.fresh(2))
    sync(scene, relay, on_conflict="skip")
    monkeypatch.setattr("dvidsync_dagster.log.heard_ids.PATIENCE_NS", 0)
    rows = [
        row for _ in range(2) for report in sync(scene, relay, on_conflict="skip") for row in report.conflicts
    ]
    assert [row.action for row in rows] == ["cleave"]
