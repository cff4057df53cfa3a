"""What people at the destination changed in a version that it follows stays as it is, and is listed as soon
as the source changes the same."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dvid_sandbox.broker import EmbeddedBroker
from dvidsync_dagster.datatypes.keyvalue.batches import MAX_BYTES
from dvidsync_dagster.errors import Conflict
from dvidsync_dagster.repair.repairing import repair
from tests.datatypes.own_values import Beside, Elements, Keys, Neurons, Worker
from tests.datatypes.source_and_destination import SourceAndDestination
from tests.datatypes.source_and_destination import scene as open_scene

KINDS: list[type[Worker]] = [Keys, Neurons, Elements]

of_each_kind = pytest.mark.parametrize("kind", KINDS)

EXAMPLES = settings(
    max_examples=2,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    print_blob=True,
)
"""Each starts servers: they are few and long, and none is made smaller."""


@pytest.fixture(autouse=True)
def announced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox makes a message at once."""
    monkeypatch.setattr("dvidsync_dagster.destinations.dvid_server.meeting.ANNOUNCED_SECONDS", 0.0)


def beside(scene: SourceAndDestination, kind: type[Worker], seed: int = 0, *, is_met: bool = True) -> Beside:
    """Both, once the destination was met."""
    source, copy = kind(scene, scene.source, "amy"), kind(scene, scene.destination, "trainee")
    this = Beside(source, copy, Random(seed), scene.root, is_met=False)
    if is_met:
        assert this.follow() == this.expected() == set()
    return this


def put(worker: Worker, this: Beside, *names: str) -> None:
    for name in names:
        this.number += 1
        worker.put(name, worker.value(this.number), this.version)


def mend(this: Beside) -> None:
    config = this.config()
    done = repair(
        config, config.destinations[0], checkpoint=this.checkpoint, dry_run=False, still_owner=lambda: None
    )
    assert done.after is not None
    assert not [row for row in done.after.differences if not row.ahead]


@of_each_kind
def test_what_people_made_changed_and_deleted_is_left_alone(
    scene: SourceAndDestination, kind: type[Worker]
) -> None:
    this = beside(scene, kind)
    changed, deleted, made, other = kind.items[:4]
    put(this.source, this, changed, deleted, other)
    assert this.follow() == set()
    put(this.copy, this, changed, made)
    this.copy.delete(deleted, this.version)
    own = this.copy.all(this.version)
    for _ in range(2):
        put(this.source, this, changed, deleted, made, other)
        assert this.follow() == {changed, deleted, made}
        source = this.source.all(this.version)
        assert this.copy.all(this.version) == {**own, other: source[other]}


@of_each_kind
@pytest.mark.parametrize("on_conflict", ["skip", "stop"])
def test_so_is_what_they_did_before_the_first_run(
    scene: SourceAndDestination, kind: type[Worker], on_conflict: str
) -> None:
    this = beside(scene, kind, is_met=False)
    this.on_conflict, this.start = on_conflict, "now"
    changed, deleted, made, other = kind.items[:4]
    for server in (scene.source, scene.destination):  # all of it came with the copy
        for number, item in enumerate((changed, deleted, other)):
            kind(scene, server, "amy").put(item, this.source.value(100 + number), this.version)
    put(this.copy, this, changed, made)
    this.copy.delete(deleted, this.version)
    own = this.copy.all(this.version)
    assert this.follow() == set()
    put(this.source, this, changed, deleted, made, other)
    if on_conflict == "stop":
        with pytest.raises(Conflict) as stopped:
            this.follow()
        assert all(this.source.told(item) in str(stopped.value) for item in (changed, deleted, made))
    else:
        assert this.follow() == {changed, deleted, made}
    source = this.source.all(this.version)
    assert this.copy.all(this.version) == {**own, other: source[other]}


@of_each_kind
def test_a_version_that_is_made_has_what_people_did_in_its_parent(
    scene: SourceAndDestination, kind: type[Worker]
) -> None:
    this = beside(scene, kind)
    changed, made, other = kind.items[:3]
    put(this.source, this, changed, other)
    assert this.follow() == set()
    put(this.copy, this, changed, made)
    this.new_version()
    assert this.follow() == set()
    own = this.copy.all(this.version)
    put(this.source, this, changed, made, other)
    assert this.follow() == {changed, made}
    source = this.source.all(this.version)
    assert this.copy.all(this.version) == {**own, other: source[other]}


@of_each_kind
def test_after_a_repair_what_people_changed_is_followed_again(
    scene: SourceAndDestination, kind: type[Worker]
) -> None:
    this = beside(scene, kind)
    changed, made, untouched = kind.items[:3]
    put(this.source, this, changed, untouched)
    assert this.follow() == set()
    put(this.copy, this, changed, made, untouched)
    put(this.source, this, changed)
    assert this.follow() == {changed}
    mend(this)
    put(this.source, this, changed, made, untouched)
    assert this.follow() == set()
    scene.assert_same()


@of_each_kind
def test_a_row_closes_once_both_sides_have_the_same(scene: SourceAndDestination, kind: type[Worker]) -> None:
    """Also by what nothing announces: people's work there, a neuron that is deleted."""
    this = beside(scene, kind)
    items = deleted, put_back, other = kind.items[:3]
    put(this.source, this, *items)
    assert this.follow() == set()
    put(this.copy, this, *items)
    put(this.source, this, *items)
    assert this.follow() == set(items)
    this.source.delete(deleted, this.version)
    left_out = this.follow()
    assert left_out == ({deleted} if kind.announces_deletes else set())
    assert this.listed() == set(items)
    this.copy.delete(deleted, this.version)
    this.copy.put(put_back, this.source.all(this.version)[put_back], this.version)
    assert this.follow() == set()
    assert this.listed() == {other}


@of_each_kind
def test_what_a_killed_run_wrote_is_not_taken_for_peoples_work(
    scene: SourceAndDestination, kind: type[Worker]
) -> None:
    this = beside(scene, kind)
    for _ in range(3):
        put(this.source, this, *kind.items)
        this.follow_killed()
    put(this.source, this, *kind.items)
    assert this.follow() == set()
    scene.assert_same()


@of_each_kind
def test_where_nothing_is_known_anymore_the_source_is_followed(
    scene: SourceAndDestination, kind: type[Worker]
) -> None:
    this = beside(scene, kind)
    put(this.source, this, *kind.items)
    assert this.follow() == set()
    shutil.rmtree(scene.quarantine)
    put(this.source, this, *kind.items)
    assert this.follow() == set()
    scene.assert_same()
    put(this.copy, this, kind.items[0])
    put(this.source, this, *kind.items)
    assert this.follow() == {kind.items[0]}


@of_each_kind
def test_a_run_says_that_the_quarantine_is_another_folder(
    scene: SourceAndDestination, kind: type[Worker], tmp_path: Path
) -> None:
    def told(**settings: Any) -> list[str]:
        reports = scene.sync(changed={"on_conflict": "skip"}, **settings)
        return [note for report in reports for note in report.notes if "`quarantine` names another" in note]

    this = beside(scene, kind, is_met=False)
    put(this.source, this, *kind.items)
    assert told() == []
    # Also where there is nothing to write.
    (said,) = told(quarantine=str(tmp_path / "moved"))
    assert str(tmp_path / "moved") in said
    assert told(quarantine=str(tmp_path / "moved")) == []
    put(this.copy, this, kind.items[0])
    put(this.source, this, *kind.items)
    assert told(quarantine=str(tmp_path / "moved")) == []
    assert [row.found for row in scene.reports[-1].conflicts]


@of_each_kind
def test_a_run_that_stops_at_what_people_changed_stops_there_until_it_is_resolved(
    scene: SourceAndDestination, kind: type[Worker]
) -> None:
    this = beside(scene, kind)
    this.on_conflict = "stop"
    changed, deleted, made, other = kind.items[:4]
    put(this.source, this, changed, deleted, other)
    assert this.follow() == set()
    before = this.copy.all(this.version)
    put(this.copy, this, changed, made)
    this.copy.delete(deleted, this.version)
    own = this.copy.all(this.version)
    put(this.source, this, changed, deleted, made)
    for _ in range(2):
        with pytest.raises(Conflict) as stopped:
            this.follow()
        assert all(this.source.told(item) in str(stopped.value) for item in (changed, deleted, made))
        assert this.copy.all(this.version) == own
    this.copy.delete(made, this.version)
    this.copy.put(changed, before[changed], this.version)
    this.copy.put(deleted, before[deleted], this.version)
    assert this.follow() == set()
    assert this.copy.all(this.version) == this.source.all(this.version)


@of_each_kind
def test_after_it_was_left_out_and_repaired_a_run_that_stopped_goes_on(
    scene: SourceAndDestination, kind: type[Worker]
) -> None:
    this = beside(scene, kind)
    this.on_conflict = "stop"
    item = kind.items[0]
    put(this.copy, this, item)
    put(this.source, this, *kind.items)
    with pytest.raises(Conflict):
        this.follow()
    this.on_conflict = "skip"
    assert this.follow() == {item}
    mend(this)
    this.on_conflict = "stop"
    put(this.source, this, *kind.items)
    assert this.follow() == set()
    scene.assert_same()


@pytest.mark.parametrize("changed", [0, 1], ids=["at its start", "at its end"])
def test_an_element_is_not_moved_if_people_changed_what_is_at_either_end(
    scene: SourceAndDestination, changed: int
) -> None:
    this = beside(scene, Elements)
    start, end, other = Elements.items[:3]
    put(this.source, this, start, other)
    assert this.follow() == set()
    put(this.copy, this, (start, end)[changed])
    own = this.copy.all(this.version)
    path = f"synapses/move/{start.replace(',', '_')}/{end.replace(',', '_')}"
    this.source.request("POST", path, this.version)
    assert this.follow() == {(start, end)[changed]}
    assert this.copy.all(this.version) == own
    put(this.source, this, start, end, other)
    assert this.follow() == {start, end}
    assert this.copy.all(this.version) == {**own, other: this.source.all(this.version)[other]}


def test_all_points_of_one_post_that_people_changed_are_named(scene: SourceAndDestination) -> None:
    this = beside(scene, Elements)
    first, second, third = Elements.items[:3]
    put(this.source, this, first, second, third)
    assert this.follow() == set()
    put(this.copy, this, first, third)
    posted = [
        {
            "Pos": [int(each) for each in item.split(",")],
            "Kind": "Note",
            "Tags": ["c"],
            "Prop": {"note": "new"},
        }
        for item in (first, second, third)
    ]
    this.source.request("POST", "synapses/elements", this.version, json=posted)
    assert this.follow() == {first, third}


def test_blocks_that_are_replaced_leave_what_people_changed(scene: SourceAndDestination) -> None:
    this = beside(scene, Elements)
    first, second, third = ("1,2,3", "4,5,6", "30,30,30")
    put(this.source, this, first, second, third)
    assert this.follow() == set()
    put(this.copy, this, first)
    own = this.copy.all(this.version)
    note = {"Pos": [4, 5, 6], "Kind": "Note", "Tags": ["c"], "Prop": {"note": "new"}, "Rels": []}
    this.source.request("POST", "synapses/blocks", this.version, json={"0,0,0": [note]})
    assert this.follow() == {first}
    assert this.copy.all(this.version) == {first: own[first], second: ("c", "new")}


def test_a_large_value_that_people_changed_is_left_alone(scene: SourceAndDestination) -> None:
    this = beside(scene, Keys)
    small, large = Keys.items[:2]
    this.source.put(large, b"a" * (MAX_BYTES + 1), this.version)
    assert this.follow() == set()
    assert len(this.copy.all(this.version)[large]) == MAX_BYTES + 1
    this.source.put(large, b"b" * (MAX_BYTES + 1), this.version)
    assert this.follow() == set()
    this.copy.put(large, b"own", this.version)
    this.source.put(large, b"c" * (MAX_BYTES + 1), this.version)
    this.source.put(small, b"d", this.version)
    assert this.follow() == {large}
    assert this.copy.all(this.version) == {large: b"own", small: b"d"}


@pytest.fixture
def opened(broker: EmbeddedBroker, made: tuple[Path, str]) -> Callable[[type[Worker], int], Iterator[Beside]]:
    def opened(kind: type[Worker], seed: int) -> Iterator[Beside]:
        with TemporaryDirectory() as folder, open_scene(Path(folder), broker, made) as scene:
            yield beside(scene, kind, seed, is_met=seed % 2 == 0)

    return opened


@of_each_kind
@EXAMPLES
@given(seed=st.integers(0, 2**32))
def test_own_work_stays_and_each_difference_is_listed(
    opened: Callable[[type[Worker], int], Iterator[Beside]], kind: type[Worker], seed: int
) -> None:
    """Runs are killed and checkpoints lost on the way; versions are committed."""
    for this in opened(kind, seed):
        for _ in range(12):
            for _ in range(this.random.randint(1, 6)):
                this.work(this.copy if this.random.random() < 0.3 else this.source)
            roll = this.random.random()
            if roll < 0.2:
                this.expected_of_killed()
                this.follow_killed()
            elif roll < 0.3:
                this.lose_checkpoint()
            else:
                expected = this.expected()
                assert this.follow() == expected
                assert this.copy.all(this.version) == this.there()
                kept = this.kept_aside()
                assert all(value in kept.get(item, ()) for item, value in this.replaced)
                if this.random.random() < 0.2:
                    this.new_version()
                    assert this.follow() == this.expected() == set()
