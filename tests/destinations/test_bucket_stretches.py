"""Which versions a branch has, and how events are divided over them: each one once, in whatever batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dvidsync_dagster.datatypes.keyvalue.events import PostKey
from dvidsync_dagster.datatypes.labelmap.events import Merge
from dvidsync_dagster.destinations.bucket.stretches import Reached, Stretches, in_stretches
from dvidsync_dagster.destinations.bucket.versions import Base, BranchVersions
from dvidsync_dagster.dvid.repo import RepoInfo, Version
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.events.origin import Origin
from dvidsync_dagster.events.repo import Commit, NewInstance, NewVersion, NodeNote

CLOCK = 10_000


def version(number: int, *parents: int, branch: str = "", locked: bool = True, by: int = 0) -> Version:
    """Version `number`, which is called so, with its branch as DVID names it."""
    return Version(
        uuid=f"v{number}",
        number=number,
        parents=tuple(f"v{parent}" for parent in parents),
        branch=branch,
        locked=locked,
        note="",
        log=(),
        committed_at_latest=by,
    )


def repo(*versions: Version) -> RepoInfo:
    return RepoInfo("v1", {each.uuid: each for each in versions}, {}, 0)


def line(count: int) -> BranchVersions:
    """Versions v1 … one after the other, all but the last one committed."""
    versions = [
        version(number, *([number - 1] if number > 1 else []), locked=number < count)
        for number in range(1, count + 1)
    ]
    return BranchVersions.of(repo(*versions), "master")


def at(key: int) -> Origin:
    return Origin(key, "topic", 0, key)


def key_of(number: int, key: int) -> PostKey:
    """A key is posted in a version, at a moment."""
    return PostKey(origin=at(key), version=f"v{number}", instance="keys", key=str(key), size=1)


def made(number: int, key: int, *, parent: int | None = None) -> NewVersion:
    return NewVersion(origin=at(key), version=f"v{parent or number - 1}", child=f"v{number}", note="")


def committed(number: int, key: int) -> Commit:
    return Commit(origin=at(key), version=f"v{number}", note="", log=())


def divided(events: Sequence[Event], versions: BranchVersions, reached: Reached | None = None) -> Stretches:
    """From the committed v1, which was read at 100."""
    return in_stretches(events, versions, reached or Reached("v1", True, "v1", 100))


def shown(found: Stretches) -> list[tuple[str, int, bool]]:
    return [(each.version, len(each.events), each.is_committed) for each in found.stretches]


def test_a_branch_has_the_versions_that_it_comes_from() -> None:
    own = repo(
        version(1),
        version(2, 1),
        version(3, 1, branch="other"),
        version(4, 3, branch="other"),
        version(5, 2, 4, locked=False),
        version(6, 4, branch="tag-x"),
    )
    assert [each.uuid for each in BranchVersions.of(own, "master").versions] == ["v1", "v2", "v5"]
    assert [each.uuid for each in BranchVersions.of(own, "other").versions] == ["v1", "v3", "v4"]
    assert BranchVersions.of(own, "master").place("v4") is None


def test_the_base_is_the_newest_committed_version() -> None:
    open_head = repo(version(1, by=5), version(2, 1, by=7), version(3, 2, locked=False))
    assert BranchVersions.of(open_head, "master").base(CLOCK) == Base("v2", 7)
    branched = repo(version(1, by=5), version(2, 1, branch="dev", locked=False))
    assert BranchVersions.of(branched, "dev").base(CLOCK) == Base("v1", 5)
    alone = BranchVersions.of(repo(version(1, locked=False)), "master")
    assert alone.base(CLOCK) == Base("v1", CLOCK, is_committed=False)


def test_without_a_time_the_whole_log_counts_or_what_comes_after_now() -> None:
    assert BranchVersions.of(repo(version(1), version(2, 1, locked=False)), "master").base(CLOCK) == Base(
        "v1", 0
    )
    assert BranchVersions.of(repo(version(1)), "master").base(CLOCK) == Base("v1", CLOCK)


def test_a_commit_ahead_of_the_clock_has_no_time() -> None:
    """Its clock was wrong: what comes after it can have any time."""
    ahead = version(1, by=CLOCK + 1)
    assert BranchVersions.of(repo(ahead, version(2, 1, locked=False)), "master").base(CLOCK) == Base("v1", 0)
    assert BranchVersions.of(repo(ahead), "master").base(CLOCK) == Base("v1", CLOCK)


def test_a_stretch_ends_with_a_commit() -> None:
    events = [made(2, 200), key_of(2, 210), committed(2, 220), made(3, 230), key_of(3, 240)]
    found = divided(events, line(3))
    assert shown(found) == [("v2", 3, True), ("v3", 2, False)]
    assert [event for each in found.stretches for event in each.events] == events
    assert (found.late, found.present, found.untold) == ([], 0, [])


def test_what_the_base_holds_is_there() -> None:
    found = divided([key_of(1, 100), committed(1, 101), made(2, 200)], line(2))
    assert shown(found) == [("v2", 1, False)]
    assert found.present == 2


def test_what_changes_a_committed_version_is_late() -> None:
    """Also while its commit is still to be applied, if it has a child: what that has of it cannot be told."""
    born = replace(line(3), versions=[replace(each, created=240) for each in line(3).versions])
    of_base, under_way, after = key_of(1, 101), key_of(2, 230), key_of(2, 300)
    found = divided([of_base, made(2, 200), under_way, after, committed(2, 220)], born)
    assert found.late == [of_base, after]
    assert shown(found) == [("v2", 3, True)]
    reached = Reached("v2", True, "v1", 100)
    assert divided([under_way], born, reached).late == [under_way]


def test_notes_and_instances_can_be_of_any_version() -> None:
    note = NodeNote(origin=at(200), version="v1", note="x")
    instance = NewInstance(origin=at(210), version="v1", name="keys", data_type="keyvalue")
    assert shown(divided([note, instance], line(2))) == [("v1", 2, True)]


def test_an_instance_that_the_base_has_is_not_made_anew() -> None:
    made_before = NewInstance(origin=at(90), version="v1", name="keys", data_type="keyvalue")
    found = divided([made_before], line(2))
    assert (found.stretches, found.present) == ([], 1)


def test_values_that_were_announced_just_before_an_open_root_was_read_count() -> None:
    merged = Merge(origin=at(95), version="v1", instance="bodies", mutation_id=1, target=1, labels=(2,))
    reached = Reached("v1", False, "v1", 100, values_read_ns=90)
    found = divided([key_of(1, 90), key_of(1, 91), merged, key_of(1, 101)], line(1), reached)
    assert [[event.origin.key_ns for event in each.events] for each in found.stretches] == [[91, 101]]
    assert found.present == 2


def test_versions_of_which_the_log_does_not_tell_are_followed() -> None:
    found = divided([key_of(4, 300), key_of(2, 200)], line(4))
    assert shown(found) == [("v2", 2, True), ("v3", 1, True), ("v4", 2, False)]
    assert found.untold == ["v2", "v3", "v4"]
    assert all(isinstance(each.events[0], NewVersion) for each in found.stretches)


def test_other_branches_change_nothing() -> None:
    events = [made(9, 200, parent=1), key_of(9, 210), committed(9, 220)]
    assert divided(events, line(2)) == Stretches()


@given(st.integers(1, 6), st.lists(st.integers(0, 5), min_size=1, max_size=6), st.data())
def test_any_batches_come_to_the_same(versions: int, keys: Sequence[int], data: st.DataObject) -> None:
    events: list[Event] = []
    for number in range(2, versions + 2):
        moment = 1000 * number
        events.append(made(number, moment))
        events += [key_of(number, moment + each + 1) for each in range(keys[number % len(keys)])]
        events.append(committed(number, moment + 900))
    branch = line(versions + 1)
    branch = replace(branch, versions=[replace(each, locked=True) for each in branch.versions])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=5)))
    reached = Reached("v1", True, "v1", 100)
    brought: list[Event] = []
    pinned: list[str] = []
    for first, last in zip([0, *cuts], [*cuts, len(events)], strict=True):
        found = divided(events[first:last], branch, reached)
        assert (found.late, found.present, found.untold) == ([], 0, [])
        for stretch in found.stretches:
            brought += stretch.events
            pinned += [stretch.version] if stretch.is_committed else []
            reached = replace(reached, version=stretch.version, is_committed=stretch.is_committed)
    assert brought == events
    assert pinned == [f"v{number}" for number in range(2, versions + 2)]
