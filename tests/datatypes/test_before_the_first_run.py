"""What people did at a destination before its first run, on items that the source has changed too since the
log's start. What shows that it is theirs stays, and is listed; what nothing tells is kept, then replaced."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta

import pytest

from dvidsync_dagster.errors import Conflict
from tests.datatypes.own_values import Beside, Elements, Keys, Neurons, Worker
from tests.datatypes.source_and_destination import SourceAndDestination
from tests.datatypes.test_own_values import announced, beside, mend, of_each_kind, put
from tests.datatypes.test_undecodable import KEYS, NEURONS, forge

__all__ = ["announced"]


def copied(this: Beside, *items: str) -> None:
    """The source has them, and so has the copy."""
    amy = type(this.copy)(this.copy.scene, this.copy.server, "amy")
    for item in items:
        this.number += 1
        for worker in (this.source, amy):
            worker.put(item, worker.value(this.number), this.version)


@of_each_kind
@pytest.mark.parametrize("on_conflict", ["skip", "stop"])
def test_what_may_be_peoples_is_kept_before_it_is_replaced(
    scene: SourceAndDestination, kind: type[Worker], on_conflict: str
) -> None:
    this = beside(scene, kind, is_met=False)
    this.on_conflict = on_conflict
    changed, made, untouched, new = kind.items[:4]
    copied(this, changed, untouched)
    put(this.copy, this, changed, made)
    there = this.copy.all(this.version)
    put(this.source, this, changed, made, untouched, new)
    assert this.follow() == set()
    assert this.copy.all(this.version) == this.source.all(this.version)
    assert this.kept_aside() == {item: {there[item]} for item in (changed, made, untouched)}


def forget(this: Beside) -> None:
    """Everything that is known of the destination: it is met anew."""
    shutil.rmtree(this.copy.scene.quarantine, ignore_errors=True)
    this.checkpoint = None


def in_a_new_version(this: Beside, *items: str) -> None:
    """Both have the items, and a version in which nobody has changed them yet."""
    put(this.source, this, *items)
    this.new_version()
    assert this.follow() == set()


@of_each_kind
def test_what_the_source_changed_once_in_a_version_is_what_the_version_took_over_or_peoples(
    scene: SourceAndDestination, kind: type[Worker]
) -> None:
    this = beside(scene, kind)
    once, twice, untouched = kind.items[:3]
    in_a_new_version(this, once, twice, untouched)
    put(this.copy, this, once, twice)
    there = this.copy.all(this.version)
    put(this.source, this, once, twice, untouched)
    put(this.source, this, twice)
    forget(this)
    left_out = this.follow()
    # Which elements a post has changed, its message does not tell.
    assert left_out == (set() if kind is Elements else {once})
    source = this.source.all(this.version)
    assert this.copy.all(this.version) == source | {item: there[item] for item in left_out}
    kept = {once, twice} - left_out
    assert this.kept_aside() == {item: {there[item]} for item in kept}


class MoreKeys(Keys):
    instance = "more"


class MoreNeurons(Neurons):
    instance = "more"


@pytest.mark.parametrize("kind", [MoreKeys, MoreNeurons])
def test_so_is_what_it_changed_once_since_it_made_the_instance_in_the_root(
    scene: SourceAndDestination, kind: type[Keys | Neurons]
) -> None:
    scene.new_instance("more", "keyvalue" if kind is MoreKeys else "neuronjson")
    this = beside(scene, kind)
    once, twice, deleted = kind.items[:3]
    put(this.copy, this, once, twice)
    there = this.copy.all(this.version)
    put(this.source, this, once, twice, deleted)
    put(this.source, this, twice)
    forget(this)
    assert this.follow() == {once}
    assert this.copy.all(this.version) == this.source.all(this.version) | {once: there[once]}
    assert this.kept_aside() == {twice: {there[twice]}}


@of_each_kind
@pytest.mark.parametrize("on_doubt", ["follow", "conflict"])
def test_what_people_deleted_is_theirs_where_the_source_tells_of_its_own_deletes(
    scene: SourceAndDestination, kind: type[Worker], on_doubt: str
) -> None:
    this = beside(scene, kind)
    this.on_doubt = on_doubt
    once, twice, new = kind.items[:3]
    in_a_new_version(this, once, twice)
    for item in (once, twice):
        this.copy.delete(item, this.version)
    put(this.source, this, once, twice, new)
    put(this.source, this, twice, new)
    forget(this)
    left_out = this.follow()
    assert left_out == ({once, twice} if on_doubt == "conflict" else {once} if kind is Keys else set())
    source = this.source.all(this.version)
    assert this.copy.all(this.version) == {item: source[item] for item in source.keys() - left_out}
    assert this.kept_aside() == {}


@of_each_kind
@pytest.mark.parametrize("on_doubt", ["follow", "conflict"])
def test_what_the_source_had_made_before_the_start_people_may_have_deleted(
    scene: SourceAndDestination, kind: type[Worker], on_doubt: str
) -> None:
    this = beside(scene, kind)
    this.on_doubt = on_doubt
    this.new_version()
    assert this.follow() == set()
    deleted, new = kind.items[:2]
    put(this.source, this, deleted)
    assert this.follow() == set()
    this.start = {"time": datetime.now(UTC).isoformat()}
    this.copy.delete(deleted, this.version)
    put(this.source, this, deleted, new, new)
    forget(this)
    left_out = {deleted} if on_doubt == "conflict" else set()
    assert this.follow() == this.listed() == left_out
    source = this.source.all(this.version)
    assert this.copy.all(this.version) == {item: source[item] for item in source.keys() - left_out}


@of_each_kind
def test_what_nothing_tells_can_be_left_alone_until_a_repair(
    scene: SourceAndDestination, kind: type[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dvidsync_dagster.datatypes.own_values._MOST_BYTES", 1)
    this = beside(scene, kind, is_met=False)
    this.on_doubt = "conflict"
    changed, made, untouched, same, new = kind.items[:5]
    copied(this, changed, untouched, same)
    put(this.copy, this, changed, made)
    there = this.copy.all(this.version)
    put(this.source, this, changed, made, untouched, new)
    doubtful = {changed, made, untouched}
    assert this.follow() == this.listed() == doubtful
    assert this.copy.all(this.version) == this.source.all(this.version) | {
        item: there[item] for item in doubtful
    }
    assert this.kept_aside() == {}
    # What it knows since then is followed, whatever the size of the instance.
    put(this.source, this, same, changed)
    assert this.follow() == {changed}
    mend(this)
    put(this.source, this, *doubtful)
    assert this.follow() == this.listed() == set()
    assert this.copy.all(this.version) == this.source.all(this.version)


@of_each_kind
def test_or_stops_with_what_to_do(scene: SourceAndDestination, kind: type[Worker]) -> None:
    this = beside(scene, kind, is_met=False)
    this.on_conflict, this.on_doubt = "stop", "conflict"
    changed = kind.items[0]
    put(this.copy, this, changed)
    there = this.copy.all(this.version)
    put(this.source, this, changed)
    for _ in range(2):
        with pytest.raises(Conflict, match=r"nothing tells .*`on_doubt: conflict`"):
            this.follow()
        assert this.listed() == {changed}
        assert this.copy.all(this.version) == there
    this.on_doubt = "follow"
    assert this.follow() == this.listed() == set()
    assert this.copy.all(this.version) == this.source.all(this.version)


@pytest.mark.parametrize("kind", [Keys, Neurons])
def test_what_runs_have_brought_is_not_taken_for_peoples_once_nothing_is_known(
    scene: SourceAndDestination, kind: type[Worker]
) -> None:
    """Its last value is neither the parent's nor the source's."""
    this = beside(scene, kind)
    item = kind.items[0]
    in_a_new_version(this, item)
    put(this.source, this, item)
    assert this.follow() == set()
    put(this.source, this, item)
    shutil.rmtree(scene.quarantine)
    assert this.follow() == set()
    assert this.copy.all(this.version) == this.source.all(this.version)


@pytest.mark.parametrize("kind", [Keys, Neurons])
@pytest.mark.parametrize("known", ["all", "no version", "too much", "a record that is none"])
def test_what_it_changed_before_the_start_counts(
    scene: SourceAndDestination, kind: type[Worker], known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    this = beside(scene, kind)
    before, after = kind.items[:2]
    if known == "no version":
        put(this.source, this, before, after)
    else:
        in_a_new_version(this, before, after)
    put(this.source, this, before)
    assert this.follow() == set()
    if known == "a record that is none":
        forge(scene, KEYS if kind is Keys else NEURONS)
    this.start = {"time": datetime.now(UTC).isoformat()}
    put(this.copy, this, before, after)
    there = this.copy.all(this.version)
    put(this.source, this, before, after)
    forget(this)
    if known == "too much":
        monkeypatch.setattr("dvidsync_dagster.run.log_before.MOST", 1)
    left_out = this.follow()
    assert left_out == ({after} if known == "all" else set())
    assert this.kept_aside() == {item: {there[item]} for item in {before, after} - left_out}


@of_each_kind
def test_what_they_did_in_a_version_that_the_source_has_left_is_told_in_the_next_one(
    scene: SourceAndDestination, kind: type[Worker]
) -> None:
    this = beside(scene, kind, is_met=False)
    changed, other = kind.items[:2]
    copied(this, changed, other)
    put(this.copy, this, changed)
    this.start = {"time": datetime.now(UTC).isoformat()}
    own = this.copy.all(this.version)
    this.new_version()
    put(this.source, this, changed, other)
    assert this.follow() == {changed}
    assert this.copy.all(this.version) == {**own, other: this.source.all(this.version)[other]}
    assert this.kept_aside() == {}


@pytest.mark.parametrize("on_conflict", ["skip", "stop"])
def test_a_field_that_was_written_when_the_source_wrote_nothing_is_peoples(
    scene: SourceAndDestination, on_conflict: str
) -> None:
    this = beside(scene, Neurons, is_met=False)
    this.on_conflict = on_conflict
    assert isinstance(this.source, Neurons)
    assert isinstance(this.copy, Neurons)
    now = datetime.now(UTC)
    this.start = {"time": (now - timedelta(hours=1)).isoformat()}
    changed, before, with_the_source, told, strange = Neurons.items[:5]
    for item in (with_the_source, told):
        this.source.put(item, "old", this.version)
    this.copy.put(changed, "own", this.version, now - timedelta(minutes=30))
    this.copy.put(before, "old", this.version, now - timedelta(hours=2))
    this.copy.put(with_the_source, "old", this.version)
    # Who posts stamps of another time at the source has them at both.
    for worker in (this.source, Neurons(scene, scene.destination, "amy")):
        worker.put(told, "older", this.version, now - timedelta(minutes=20))
    this.copy.request(
        "POST",
        f"neurons/key/{strange}",
        this.version,
        json={"bodyid": int(strange), "class": "x", "class_time": "?"},
    )
    this.source.request(
        "POST", f"neurons/key/{told}", this.version, json={"bodyid": int(told), "note": "new"}
    )
    put(this.source, this, changed, before, with_the_source, strange)
    source = this.source.all(this.version)
    if on_conflict == "stop":
        with pytest.raises(Conflict, match=f"neuron {changed}: .*trainee"):
            this.follow()
        assert this.copy.all(this.version)[changed] == "own"
        return
    assert this.follow() == {changed}
    assert this.copy.all(this.version) == {**source, changed: "own"}
    kept = {before: {"old"}, with_the_source: {"old"}, told: {"older"}, strange: {"x"}}
    assert this.kept_aside() == kept
